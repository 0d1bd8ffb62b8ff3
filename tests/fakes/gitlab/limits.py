"""How often somebody may ask.

The figures are those of gitlab.com: 2,000 requests a minute in all, told in the RateLimit headers
of every answer, and 60 new notes a minute. The second is refused without a header that says when to
come back.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.gitlab.clock import Clock

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person

REQUESTS_A_MINUTE = 2_000
NOTES_A_MINUTE = 60
MINUTE_SECONDS = 60.0


@dataclass(kw_only=True)
class RateLimits:
    clock: Clock
    requests_a_minute: int = REQUESTS_A_MINUTE
    notes_a_minute: int = NOTES_A_MINUTE
    scale: float = 1.0
    """So many times as fast as GitLab's time goes the time of these."""
    _taken: dict[tuple[str, int], deque[float]] = field(default_factory=dict)

    @property
    def _minute(self) -> float:
        return MINUTE_SECONDS / self.scale

    def take(self, what: str, user: Person, a_minute: int) -> float:
        """Count one; seconds to wait when it is one too many, which then is not counted."""
        taken, now = self._window(what, user)
        if len(taken) >= a_minute:
            return taken[0] + self._minute - now
        taken.append(now)
        return 0.0

    def headers(self, user: Person) -> dict[str, str]:
        """What every answer says about the requests of the last minute."""
        taken, now = self._window("requests", user)
        reset = (taken[0] if taken else now) + self._minute
        return {
            "RateLimit-Limit": str(self.requests_a_minute),
            "RateLimit-Name": "throttle_authenticated_api",
            "RateLimit-Observed": str(len(taken)),
            "RateLimit-Remaining": str(max(0, self.requests_a_minute - len(taken))),
            "RateLimit-Reset": str(math.ceil(reset)),
        }

    def _window(self, what: str, user: Person) -> tuple[deque[float], float]:
        taken = self._taken.setdefault((what, user.id), deque())
        now = self.clock.now().timestamp()
        while taken and taken[0] <= now - self._minute:
            taken.popleft()
        return taken, now
