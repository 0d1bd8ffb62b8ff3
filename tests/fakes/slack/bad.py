"""Bad days: what the next request of a method, or the next delivery of an event, meets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(kw_only=True)
class Bad:
    """One bad answer of the Web API; each hook may kill or stop a process at that point."""

    received: Callable[[], None] | None = None
    """Called before anything is done."""
    wait: asyncio.Event | None = None
    """Do nothing before this is set."""
    throttle_seconds: int | None = None
    """429 with this Retry-After, nothing done."""
    status: int | None = None
    """This HTTP status and a page for people, nothing done."""
    refused: str | None = None
    """This error code, nothing done."""
    drop: bool = False
    """The connection dies before anything is done."""
    stored: Callable[[], None] | None = None
    """Called when it is done and not answered."""
    answer_wait: asyncio.Event | None = None
    drop_answer: bool = False
    """It is done, and the connection dies before the answer."""
    answer_status: int | None = None
    """It is done, and answered with this HTTP status."""
    wrong: bytes | None = None
    """It is done, and answered with this as the body."""


@dataclass(kw_only=True)
class Mishap:
    """What goes wrong with one delivery of an event, a command or an interaction."""

    delayed: asyncio.Event | None = None
    """It is not sent before this is set; what comes later is not held up."""
    after_next: bool = False
    """The next one overtakes it."""
    duplicate: bool = False
    """It is sent twice."""
    disconnect: Literal["before", "after"] | None = None
    """Its connection dies before or after it was sent; the acknowledgement is lost."""
    deaf: bool = False
    """The acknowledgement of the first attempt is lost."""


@dataclass
class BadDays:
    requests: dict[str, deque[Bad]] = field(default_factory=dict)
    deliveries: dict[str, deque[Mishap]] = field(default_factory=dict)

    @staticmethod
    def new() -> deque[Any]:
        return deque()

    def request(self, method: str) -> Bad:
        waiting = self.requests.get(method)
        return waiting.popleft() if waiting else Bad()

    def delivery(self, name: str) -> Mishap:
        waiting = self.deliveries.get(name)
        return waiting.popleft() if waiting else Mishap()
