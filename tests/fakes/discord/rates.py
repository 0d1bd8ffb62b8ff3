"""The limits on requests: buckets of routes, the global one, and the count of invalid requests.

Discord publishes the global limit, the headers and the count of invalid requests. The limits of
routes are those that people report to have seen in the headers; the real ones may change.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field

from tests.fakes.discord.clock import Clock

GLOBAL_PER_SECOND = 50
INVALID_MAX = 10_000
INVALID_SECONDS = 600.0
INVALID_STATUSES = {401, 403, 429}


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds."""

    limit: int
    seconds: float


USUAL = Rate(50, 1.0)
RENAMES = Rate(2, 600.0)
"""Of one channel or thread by one bot: no header tells of it before it is used up."""
SEEN = {
    "POST /channels/{channel}/messages": Rate(5, 5.0),
    "PATCH /channels/{channel}/messages/{message}": Rate(5, 5.0),
    "DELETE /channels/{channel}/messages/{message}": Rate(5, 1.0),
    "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me": Rate(1, 0.25),
    "DELETE /channels/{channel}/messages/{message}/reactions/{emoji}/@me": Rate(1, 0.25),
    "POST /webhooks/{application}/{token}": Rate(5, 2.0),
    "PATCH /webhooks/{application}/{token}/messages/{message}": Rate(5, 2.0),
}
SHARED = {
    "DELETE /channels/{channel}/messages/{message}/reactions/{emoji}/@me": (
        "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me"
    )
}
"""Routes that use up the bucket of another one."""


@dataclass
class _Bucket:
    left: int
    resets_at: float


@dataclass(frozen=True)
class Verdict:
    """What the limits say to a request."""

    headers: dict[str, str]
    retry_seconds: float | None = None
    scope: str = "user"


@dataclass
class RateLimits:
    """Every limit of the interface; seconds are multiplied by `scale`."""

    clock: Clock
    scale: float = 1.0
    rates: dict[str, Rate] = field(default_factory=lambda: dict(SEEN))
    """By route; a test may change them."""
    global_per_second: int = GLOBAL_PER_SECOND
    invalid_max: int = INVALID_MAX
    throttled: list[str] = field(default_factory=list)
    """The routes that were answered 429."""
    invalid: deque[float] = field(default_factory=deque)
    """When requests were answered 401, 403 or 429, within the last ten minutes."""
    _buckets: dict[tuple[str, ...], _Bucket] = field(default_factory=dict)

    def take(self, token: str, route: str, major: str, *, globally: bool) -> Verdict:
        """Count one request of a token, or say when to come back."""
        if globally:
            rate = Rate(self.global_per_second, 1.0)
            bucket = self._bucket((token, "global"), rate)
            if bucket.left <= 0:
                return self._refuse(route, bucket, {"X-RateLimit-Global": "true"}, "global")
            bucket.left -= 1
        name = SHARED.get(route, route)
        rate = self.rates.get(name, USUAL)
        bucket = self._bucket((token, name, major), rate)
        if bucket.left <= 0:
            return self._refuse(route, bucket, self._headers(name, rate, bucket), "user")
        bucket.left -= 1
        return Verdict(self._headers(name, rate, bucket))

    def rename(self, token: str, channel: int) -> float | None:
        """Count a change of a channel's name, or say in how many seconds to come back."""
        bucket = self._bucket((token, "rename", str(channel)), RENAMES)
        if bucket.left <= 0:
            self.throttled.append("rename")
            return max(bucket.resets_at - self.clock.now(), 0.001)
        bucket.left -= 1
        return None

    def count(self, status: int, scope: str = "user") -> None:
        """Keep which answers were for invalid requests; too many shut the address out."""
        if status in INVALID_STATUSES and scope != "shared":
            self.invalid.append(self.clock.now())

    @property
    def banned(self) -> bool:
        """Whether the address is shut out for its invalid requests."""
        while self.invalid and self.invalid[0] < self.clock.now() - INVALID_SECONDS:
            self.invalid.popleft()
        return len(self.invalid) >= self.invalid_max

    def _bucket(self, key: tuple[str, ...], rate: Rate) -> _Bucket:
        now = self.clock.now()
        bucket = self._buckets.get(key)
        if bucket is None or bucket.resets_at <= now:
            bucket = self._buckets[key] = _Bucket(rate.limit, now + rate.seconds * self.scale)
        return bucket

    def _refuse(self, route: str, bucket: _Bucket, headers: dict[str, str], scope: str) -> Verdict:
        self.throttled.append(route)
        return Verdict(headers, max(bucket.resets_at - self.clock.now(), 0.001), scope)

    def _headers(self, name: str, rate: Rate, bucket: _Bucket) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(rate.limit),
            "X-RateLimit-Remaining": str(bucket.left),
            "X-RateLimit-Reset": f"{bucket.resets_at:.3f}",
            "X-RateLimit-Reset-After": f"{max(bucket.resets_at - self.clock.now(), 0):.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(name.encode()).hexdigest()[:32],
        }


def headers_429(retry_seconds: float, scope: str, more: dict[str, str]) -> dict[str, str]:
    """Of an answer that says to come back later; whole seconds, rounded up."""
    return {
        **more,
        "Retry-After": str(int(-(-retry_seconds // 1))),
        "X-RateLimit-Scope": scope,
    }


def body_429(retry_seconds: float, scope: str) -> dict:
    what = "The resource is" if scope == "shared" else "You are"
    return {
        "message": f"{what} being rate limited.",
        "retry_after": round(retry_seconds, 3),
        "global": scope == "global",
    }
