"""Addresses of threads of Slack."""

from dataclasses import dataclass

from adapters.chat.port import Rejected


@dataclass(frozen=True)
class Place:
    """Address of a thread."""

    team: str
    channel: str
    thread: str

    @classmethod
    def read(cls, place: str) -> "Place":
        """:raises Rejected: it is no place of Slack"""
        parts = place.partition("~")[0].split("/")
        if len(parts) != 3 or not all(parts[:2]):
            raise Rejected(f"{place!r} is no thread of Slack")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.team}/{self.channel}/{self.thread}"
