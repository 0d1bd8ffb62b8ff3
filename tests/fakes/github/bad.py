"""Bad days: what the next requests of a kind meet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Bad:
    """One bad answer; each hook may kill or stop a process at that point."""

    received: Callable[[], None] | None = None
    """Called before anything is done."""
    wait: asyncio.Event | None = None
    """Do nothing before this is set."""
    status: int | None = None
    """This HTTP status, nothing done."""
    words: str = "a bad day"
    """The message with that status."""
    headers: dict[str, str] = field(default_factory=dict)
    """With that status."""
    drop: bool = False
    """The connection dies before anything is done."""
    stored: Callable[[], None] | None = None
    """Called when it is done and not answered."""
    answer_wait: asyncio.Event | None = None
    """It is done, and not answered before this is set."""
    drop_answer: bool = False
    """It is done, and the connection dies before the answer."""
    answer_status: int | None = None
    """It is done, and answered with this HTTP status."""
    wrong: bytes | None = None
    """It is done, and answered with this as the body."""


@dataclass
class BadDays:
    _waiting: list[tuple[str, re.Pattern[str], Bad]] = field(default_factory=list)

    def add(self, verb: str, path: str, bad: Bad) -> None:
        """`path` is a pattern that a part of the request's path fits."""
        self._waiting.append((verb, re.compile(path), bad))

    def next(self, verb: str, path: str) -> Bad:
        for waiting in self._waiting:
            if waiting[0] == verb and waiting[1].search(path):
                self._waiting.remove(waiting)
                return waiting[2]
        return Bad()
