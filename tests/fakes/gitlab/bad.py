"""Bad days: what the next request of an endpoint meets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Bad:
    """One bad answer of the REST API; each hook may kill or stop a process at that point."""

    received: Callable[[], None] | None = None
    """Called before anything is done."""
    wait: asyncio.Event | None = None
    """Do nothing before this is set."""
    throttle_seconds: int | None = None
    """429 with this Retry-After, nothing done."""
    status: int | None = None
    """This HTTP status, nothing done."""
    moved: str | None = None
    """Sent on to this URL, nothing done."""
    drop: bool = False
    """The connection dies before anything is done."""
    stored: Callable[[], None] | None = None
    """Called when it is done and not answered."""
    drop_answer: bool = False
    """It is done, and the connection dies before the answer."""
    answer_wait: asyncio.Event | None = None
    """It is done, and not answered before this is set."""
    answer_status: int | None = None
    """It is done, and answered with this HTTP status."""
    wrong: bytes | None = None
    """It is done, and answered with this as the body."""


@dataclass
class BadDays:
    requests: dict[str, deque[Bad]] = field(default_factory=dict)

    def behave(self, endpoint: str, *bad: Bad) -> None:
        """Let the next requests of an endpoint, such as `notes.create`, meet these, one each."""
        self.requests.setdefault(endpoint, deque()).extend(bad)

    def next(self, endpoint: str) -> Bad:
        waiting = self.requests.get(endpoint)
        return waiting.popleft() if waiting else Bad()
