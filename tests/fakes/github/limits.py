"""How often an installation may ask, and make content; the published figures."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

CONTENT_A_MINUTE = 80
CONTENT_AN_HOUR = 500
REQUESTS_AN_HOUR = 5_000
CONTENT_VERBS = frozenset({"POST", "PATCH", "PUT"})
SECONDARY = (
    "You have exceeded a secondary rate limit and have been temporarily blocked from content "
    "creation. Please retry your request again later."
)


@dataclass
class RateLimits:
    content_a_minute: int = CONTENT_A_MINUTE
    content_an_hour: int = CONTENT_AN_HOUR
    requests_an_hour: int = REQUESTS_AN_HOUR
    scale: float = 1.0
    """So many times as fast as GitHub's time goes the time of content."""
    spent: Counter[int] = field(default_factory=Counter)
    """Requests by installation; those that are answered with 304 are free."""
    resets_at: float = field(default_factory=lambda: time.time() + 3600)
    _made: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def content(self, installation: int) -> int | None:
        """Count a request that makes content. Seconds to wait when it is one too many."""
        now = time.monotonic()
        minute, hour = 60 / self.scale, 3600 / self.scale
        made = self._made[installation]
        while made and made[0] <= now - hour:
            made.popleft()
        in_minute = [moment for moment in made if moment > now - minute]
        if len(made) >= self.content_an_hour:
            return math.ceil(made[0] + hour - now)
        if len(in_minute) >= self.content_a_minute:
            return math.ceil(in_minute[0] + minute - now)
        made.append(now)
        return None

    def headers(self, installation: int) -> dict[str, str]:
        left = max(0, self.requests_an_hour - self.spent[installation])
        return {
            "x-ratelimit-limit": str(self.requests_an_hour),
            "x-ratelimit-remaining": str(left),
            "x-ratelimit-reset": str(math.ceil(self.resets_at)),
        }
