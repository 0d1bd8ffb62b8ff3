"""Bad days: what the next requests of a route, or the next events, meet instead of good ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Bad:
    """One bad answer to one request; the hooks may kill or stop a process at that point."""

    received: Callable[[], None] | None = None
    """Called before anything is done."""
    wait: asyncio.Event | None = None
    """Do nothing before this is set."""
    drop: bool = False
    """The connection dies before anything is done."""
    throttle_seconds: float | None = None
    """429 with this Retry-After, nothing done."""
    throttle_scope: str = "user"
    """`user`, `shared` or `global`."""
    status: int | None = None
    """This status (a 5xx most of the time), nothing done."""
    code: int = 0
    """The interface's own code beside `status`."""
    message: str = "a bad day"
    stored: Callable[[], None] | None = None
    """Called when it is done and not answered."""
    answer_wait: asyncio.Event | None = None
    """It is done, and not answered before this is set."""
    drop_answer: bool = False
    """It is done, and the connection dies before the answer."""
    status_after: int | None = None
    """It is done, and this status says otherwise."""


@dataclass(kw_only=True)
class BadEvent:
    """What one event on its way to every session of the app meets."""

    lost: bool = False
    """It is never delivered."""
    times: int = 1
    """How often it is delivered; each has its own number."""
    after_next: bool = False
    """The next one overtakes it."""
    wait: asyncio.Event | None = None
    """It, and all after it, is held back until this is set."""
    drop: bool = False
    """The connection dies right before it; it is among what a resume replays."""
    close_code: int | None = None
    """The connection is closed with this code right before it."""


@dataclass
class BadDays:
    """What is still to happen, one each."""

    requests: dict[str, deque[Bad]] = field(default_factory=dict)
    events: dict[str, deque[BadEvent]] = field(default_factory=dict)

    def behave(self, route: str, *bad: Bad) -> None:
        """What the next requests of a route (`POST /channels/{channel}/messages`) meet."""
        self.requests.setdefault(route, deque()).extend(bad)

    def event(self, name: str, *bad: BadEvent) -> None:
        """What the next events of this name (`MESSAGE_CREATE`) meet."""
        self.events.setdefault(name, deque()).extend(bad)

    def of_request(self, route: str) -> Bad:
        waiting = self.requests.get(route)
        return waiting.popleft() if waiting else Bad()

    def of_event(self, name: str) -> BadEvent:
        waiting = self.events.get(name)
        return waiting.popleft() if waiting else BadEvent()
