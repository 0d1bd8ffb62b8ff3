"""What one machine may take of the gateway, so that the others have their share."""

import time
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """For each machine, all of its connections together where a number can be shared."""

    connections_max: int = 256
    connections_kept_max: int = 16
    """To upstreams of plain HTTP and of routes, between requests."""
    head_bytes_max: int = 64 << 10
    """Request line and headers."""
    head_seconds_max: float = 30.0
    """From the first byte of a request, or of a connection that has to say its name."""
    body_bytes_max: int = 4 << 30
    """Of one request of plain HTTP or to a route; what is inside TLS is not seen."""
    resolve_seconds_max: float = 5.0
    connect_seconds_max: float = 10.0
    idle_seconds_max: float = 900.0
    """Without a byte in either direction."""
    connection_seconds_max: float = 12 * 3600.0
    bytes_per_second_max: float = 256 * MIB
    """Both directions together, over a time longer than the burst lasts."""
    burst_bytes_max: float = 512 * MIB
    questions_per_second_max: float = 200.0
    """DNS, over a time longer than the burst lasts; more are dropped."""
    questions_burst_max: float = 1000.0
    names_max: int = 4096
    """Names that get addresses, in the whole life of a machine."""


class Bucket:
    """A token bucket that may go into debt: whoever takes from it waits until it is paid."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def take(self, amount: float) -> float:
        """Take so much; how many seconds to wait before taking more."""
        self._fill()
        self._left -= amount
        return max(0.0, -self._left / self._per_second)

    def offer(self, amount: float) -> bool:
        """Take so much if it is there; nothing is taken otherwise."""
        self._fill()
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def _fill(self) -> None:
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
