"""Backing off from what fails again and again; pure, the caller says what time it is."""

from dataclasses import dataclass, replace

BACK_OFF_SECONDS_MIN = 5.0
BACK_OFF_SECONDS_MAX = 1800.0


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """How often something failed in a row, and until when it is left alone."""

    failures: int = 0
    until: float = 0.0
    """Seconds on the caller's clock."""
    why: str = ""

    def failed(self, now: float, why: str) -> "Breaker":
        """Once more: twice as long as the last time."""
        doubled = BACK_OFF_SECONDS_MIN * 2 ** min(self.failures, 20)
        until = now + min(doubled, BACK_OFF_SECONDS_MAX)
        return replace(self, failures=self.failures + 1, until=until, why=why)

    def is_open(self, now: float) -> bool:
        """Whether it is left alone now. A clock that went back never prolongs it."""
        return now < self.until <= now + BACK_OFF_SECONDS_MAX

    def words(self, now: float) -> str | None:
        """Why it is left alone, for a person; None when it is not."""
        if not self.is_open(now):
            return None
        times = "once" if self.failures == 1 else f"{self.failures} times"
        return f"failed {times}, next try in {self.until - now:.0f} s: {self.why}"
