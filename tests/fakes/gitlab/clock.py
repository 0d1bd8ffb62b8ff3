"""The server's clock, which tests may put forward; every reading is later than the one before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

STEP = timedelta(milliseconds=1)
"""GitLab tells times to the millisecond."""


class Clock:
    def __init__(self) -> None:
        self._ahead = timedelta()
        self._last = datetime.now(UTC)

    def now(self) -> datetime:
        self._last = max(self._last + STEP, datetime.now(UTC) + self._ahead)
        return self._last

    def skip(self, seconds: float) -> None:
        """Let so much time pass, or be wrong by so much."""
        self._ahead += timedelta(seconds=seconds)
        self._last += timedelta(seconds=seconds)


def api_time(moment: datetime) -> str:
    """As the REST API writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def hook_time(moment: datetime) -> str:
    """As webhooks write it."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
