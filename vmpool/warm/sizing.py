"""How many machines a pool should hold now: what its past is worth, its bounds, a burst; pure.

What the past says about each time of the week is in `vmpool.warm.past`. A burst that is under way
raises that at once, by one machine more than it has needed so far.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vmpool.warm.past import (
    BURST_SECONDS,
    HOUR_SECONDS,
    SLOT_SECONDS,
    Profile,
    needs,
    slot_of_week,
)

CLAIMS_PER_HOUR_SAID_MIN = 0.05
"""Fewer would be said as none, with one decimal."""
BURST_CLAIMS_MIN = 2
"""Fewer claims at once are no burst."""


@dataclass(frozen=True, kw_only=True)
class WorkingHours:
    """When the least that a pool holds is held: days from Monday 0, hours from 0 to 24."""

    first_day: int
    last_day: int
    first_hour: int
    end_hour: int

    def contain(self, moment: datetime) -> bool:
        """Whether people work at this moment, in its own time zone."""
        day = self.first_day <= moment.weekday() <= self.last_day
        return day and self.first_hour <= moment.hour < self.end_hour


@dataclass(frozen=True, kw_only=True)
class SizingLimits:
    """What bounds a pool."""

    hot_min: int
    hot_max: int
    cold_min: int
    cold_max: int
    keep_seconds: float
    """After so long without a claim the pool holds nothing."""
    hours: WorkingHours | None = None
    """None: `hot_min` holds around the clock."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a pool should hold now."""

    hot: int
    cold: int
    claims_per_hour: float
    why: str
    """In one sentence, for people."""


NOTHING = Targets(hot=0, cold=0, claims_per_hour=0.0, why="nobody asked for one lately")
"""Of a pool that is not used any more."""


def targets(
    known: Profile,
    recent: Sequence[float],
    now: datetime,
    *,
    refill_seconds: float,
    at_once: int,
    limits: SizingLimits,
) -> Targets:
    """Say what the pool should hold; `recent` are at least the claims of `recent_seconds`."""
    seconds = now.timestamp()
    if recent and seconds - recent[-1] > limits.keep_seconds:
        return NOTHING
    slot = slot_of_week(seconds + utc_offset(now))
    usual, rate = known.sizes[slot], known.rates[slot]
    burst = list(recent[bisect_left(recent, seconds - recent_seconds(refill_seconds)) :])
    live = _live(burst, refill_seconds, at_once)
    working = limits.hours is None or limits.hours.contain(now)
    floor = limits.hot_min if working else 0
    wanted = max(usual, live, floor)
    hot = min(wanted, limits.hot_max)
    cold = min(max(known.peak - hot, limits.cold_min), limits.cold_max)
    rate = max(rate, len(burst) * HOUR_SECONDS / SLOT_SECONDS if live else 0.0)
    why = _why(usual=usual, live=live, floor=floor, hot=hot, wanted=wanted, rate=rate)
    return Targets(hot=hot, cold=cold, claims_per_hour=rate, why=why)


def recent_seconds(refill_seconds: float) -> float:
    """How far back claims belong to a burst under way: a machine more is hot after a refill."""
    return BURST_SECONDS + refill_seconds


def utc_offset(moment: datetime) -> float:
    """Seconds that this moment's time zone is ahead of UTC."""
    offset = moment.utcoffset()
    return offset.total_seconds() if offset else 0.0


def _live(burst: Sequence[float], refill_seconds: float, at_once: int) -> int:
    """What the burst that is under way will need, if it is one."""
    if len(burst) < BURST_CLAIMS_MIN:
        return 0
    return 1 + max(needs(burst, refill_seconds, at_once))


def _why(*, usual: int, live: int, floor: int, hot: int, wanted: int, rate: float) -> str:
    about = f"about {rate:.1f} sessions an hour expected"
    if rate < CLAIMS_PER_HOUR_SAID_MIN:
        about = "hardly any session expected"
    if hot < wanted:
        return f"{hot} is the most that may be hot; {about}, {wanted} would serve them"
    if live > max(usual, floor):
        return f"a burst is under way, {about}"
    if usual >= floor:
        return f"{about} at this time of the week"
    return f"the least that is kept; {about}"
