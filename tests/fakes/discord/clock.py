"""Time that tests may move, and the ids that are made of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

EPOCH_MILLISECONDS = 1_420_070_400_000
"""The first second of 2015, from which ids count."""


@dataclass
class Clock:
    """Real time, plus what a test has let pass."""

    passed_seconds: float = 0.0
    _last: int = 0

    def now(self) -> float:
        return time.time() + self.passed_seconds

    def advance(self, seconds: float) -> None:
        """Let time pass at once; what waits for real time goes on waiting."""
        self.passed_seconds += seconds

    def snowflake(self) -> int:
        """A new id, higher than every one before."""
        made = (int(self.now() * 1000) - EPOCH_MILLISECONDS) << 22
        self._last = max(made, self._last + 1)
        return self._last


def iso(seconds: float) -> str:
    """The moment as the interface writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def made_at(snowflake: int) -> float:
    """When the thing with this id was made."""
    return ((snowflake >> 22) + EPOCH_MILLISECONDS) / 1000
