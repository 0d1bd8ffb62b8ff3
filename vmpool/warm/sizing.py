"""How many machines a pool should hold, from when machines were asked for; pure.

A claim finds a hot machine if fewer refills are under way than the pool has machines. So the
question is how many refills were under way at each claim of the last weeks, the claim's **need**:

    claims of five weeks ──▶ needs ──▶ per slot of the week, a quarter of an hour: how many claims
                                       need 1, 2, 3 … machines
                                            │ smoothed: over slots beside it, over like days
                                            ▼
    one more machine in a slot is worth the claims that it serves: the best are taken, one after
    the other, until all but `MISSES_PLANNED` of the claims would be hits ──▶ a size for each slot

That is the cheapest set of sizes for the share of hits, if the weeks were alike. Because they are
not, each size is at least what Poisson arrivals of the slot's rate need (λT + z·√λT, z = 2.33: the
normal quantile of 99 %), and a burst that is under way raises it at once.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

HISTORY_SECONDS = 5 * 7 * 86400.0
"""How far back claims count."""
SLOT_SECONDS = 900.0
DAY_SLOTS = 96
WEEK_SLOTS = 7 * DAY_SLOTS
HOUR_SECONDS = 3600.0
WEEKDAYS = 5
Z = 2.33
MISSES_PLANNED = 0.005
"""Of the claims of weeks past; the promise is 1 %, and weeks differ."""
NEED_MAX = 64
RECENT_SECONDS = 900.0
RECENT_CLAIMS_MIN = 2
"""Fewer claims in `RECENT_SECONDS` say nothing about the next."""
SHRINK_WEEKS = 8.0
"""So many weeks of one slot weigh as much as what like days say about it."""
PRIOR_WEEKS = 2.0
"""Without a claim that every estimate begins with: the first claim of a pool says little."""
_NEIGHBOURS = ((-2, 0.1), (-1, 0.2), (0, 0.4), (1, 0.2), (2, 0.1))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a pool's past says about each quarter of an hour of the week, Monday 0:00 first."""

    sizes: tuple[int, ...]
    """Hot machines that are worth it."""
    rates: tuple[float, ...]
    """Expected claims per hour."""
    peak: int
    """The most machines that a claim ever needed."""
    claims: int


EMPTY = Profile(sizes=(0,) * WEEK_SLOTS, rates=(0.0,) * WEEK_SLOTS, peak=0, claims=0)


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


def needs(claims: Sequence[float], refill_seconds: float, at_once: int) -> list[int]:
    """For each claim, in order of time, how many machines would have made it a hit.

    Refills take `refill_seconds` each, `at_once` of them at a time, in the order of the claims.
    """
    ends: deque[float] = deque()
    last: deque[float] = deque(maxlen=max(1, at_once))
    found = []
    for moment in claims:
        while ends and ends[0] <= moment:
            ends.popleft()
        found.append(min(len(ends) + 1, NEED_MAX))
        start = max(moment, last[0]) if len(last) == last.maxlen else moment
        end = start + refill_seconds
        ends.append(end)
        last.append(end)
    return found


def profile(
    claims: Sequence[float],
    now: float,
    *,
    refill_seconds: float,
    at_once: int,
    utc_offset_seconds: float = 0.0,
) -> Profile:
    """Learn from the claims of the last weeks (seconds since 1970, in order)."""
    claims = [moment for moment in claims if now - HISTORY_SECONDS <= moment <= now]
    if not claims:
        return EMPTY
    table: list[dict[int, float]] = [{} for _ in range(WEEK_SLOTS)]
    wanted = needs(claims, refill_seconds, at_once)
    for moment, need in zip(claims, wanted, strict=True):
        row = table[slot_of_week(moment + utc_offset_seconds)]
        row[need] = row.get(need, 0.0) + 1.0
    seen = _observed(claims[0] + utc_offset_seconds, now + utc_offset_seconds)
    expected = _smoothed(table, seen)
    rates = [sum(row.values()) * HOUR_SECONDS / SLOT_SECONDS for row in expected]
    sizes = [
        max(size, poisson_size(rate / HOUR_SECONDS, refill_seconds)) if size else 0
        for size, rate in zip(_allotted(expected), rates, strict=True)
    ]
    return Profile(sizes=tuple(sizes), rates=tuple(rates), peak=max(wanted), claims=len(claims))


def targets(
    known: Profile,
    recent: Sequence[float],
    now: datetime,
    *,
    refill_seconds: float,
    at_once: int,
    limits: SizingLimits,
) -> Targets:
    """Say what the pool should hold; `recent` are at least the claims of `RECENT_SECONDS`."""
    seconds = now.timestamp()
    if recent and seconds - recent[-1] > limits.keep_seconds:
        return Targets(hot=0, cold=0, claims_per_hour=0.0, why="nobody asked for one lately")
    slot = slot_of_week(seconds + utc_offset(now))
    usual, rate = known.sizes[slot], known.rates[slot]
    burst = list(recent[bisect_left(recent, seconds - RECENT_SECONDS) :])
    live = _live(burst, refill_seconds, at_once)
    working = limits.hours is None or limits.hours.contain(now)
    floor = limits.hot_min if working else 0
    wanted = max(usual, live, floor)
    hot = min(wanted, limits.hot_max)
    cold = min(max(known.peak - hot, limits.cold_min), limits.cold_max)
    rate = max(rate, len(burst) * HOUR_SECONDS / RECENT_SECONDS if live else 0.0)
    why = _why(usual=usual, live=live, floor=floor, hot=hot, wanted=wanted, rate=rate)
    return Targets(hot=hot, cold=cold, claims_per_hour=rate, why=why)


def poisson_size(per_second: float, refill_seconds: float) -> int:
    """How many machines Poisson arrivals of this rate need for 99 % hits."""
    load = per_second * refill_seconds
    return math.ceil(load + Z * math.sqrt(load))


def slot_of_week(seconds: float) -> int:
    """The quarter of an hour of a moment (seconds since 1970, a Thursday), from Monday on."""
    return int(seconds // SLOT_SECONDS + 3 * DAY_SLOTS) % WEEK_SLOTS


def utc_offset(moment: datetime) -> float:
    """Seconds that this moment's time zone is ahead of UTC."""
    offset = moment.utcoffset()
    return offset.total_seconds() if offset else 0.0


def _live(burst: Sequence[float], refill_seconds: float, at_once: int) -> int:
    """What the last minutes need, if they say anything."""
    if len(burst) < RECENT_CLAIMS_MIN:
        return 0
    per_second = len(burst) / RECENT_SECONDS
    return max(poisson_size(per_second, refill_seconds), *needs(burst, refill_seconds, at_once))


def _observed(first: float, now: float) -> list[float]:
    """How often each hour of the week was seen since the first claim, in parts too."""
    weeks, rest = divmod(now - first, WEEK_SLOTS * SLOT_SECONDS)
    seen = [float(weeks)] * WEEK_SLOTS
    moment = now - rest
    while moment < now:
        end = min(now, (moment // SLOT_SECONDS + 1) * SLOT_SECONDS)
        seen[slot_of_week(moment)] += (end - moment) / SLOT_SECONDS
        moment = end
    return seen


def _like(slot: int) -> range:
    """The same time on all days that are like this one: working days, or the weekend."""
    if slot < WEEKDAYS * DAY_SLOTS:
        return range(slot % DAY_SLOTS, WEEKDAYS * DAY_SLOTS, DAY_SLOTS)
    return range(WEEKDAYS * DAY_SLOTS + slot % DAY_SLOTS, WEEK_SLOTS, DAY_SLOTS)


def _smoothed(table: list[dict[int, float]], seen: list[float]) -> list[dict[int, float]]:
    """Expected claims per slot of the week and need: its own, drawn towards those like it."""
    like: dict[int, dict[int, float]] = {}
    expected = []
    for slot in range(WEEK_SLOTS):
        first = _like(slot)[0]
        if first not in like:
            like[first] = _mean(table, seen, first)
        own, others = table[slot], like[first]
        weight = seen[slot] + SHRINK_WEEKS
        expected.append(
            {
                need: (own.get(need, 0.0) + SHRINK_WEEKS * others.get(need, 0.0)) / weight
                for need in own.keys() | others.keys()
            }
        )
    return expected


def _mean(table: list[dict[int, float]], seen: list[float], slot: int) -> dict[int, float]:
    """Claims per slot by need, over all days like this one and the slots beside it."""
    total: dict[int, float] = {}
    times = 0.0
    for like in _like(slot):
        for step, share in _NEIGHBOURS:
            near = (like + step) % WEEK_SLOTS
            times += share * seen[near]
            for need, count in table[near].items():
                total[need] = total.get(need, 0.0) + share * count
    return {need: count / (times + PRIOR_WEEKS) for need, count in total.items()}


def _allotted(expected: list[dict[int, float]]) -> list[int]:
    """Sizes that serve all but the planned misses at the least cost, best machine first."""
    steps: list[tuple[float, int, int, float]] = []
    for slot, row in enumerate(expected):
        size = 0
        for gain, to in hull(row):
            steps.append((gain, slot, to, gain * (to - size)))
            size = to
    steps.sort(key=lambda step: (-step[0], step[1], step[2]))
    left = sum(sum(row.values()) for row in expected) * (1.0 - MISSES_PLANNED)
    sizes = [0] * WEEK_SLOTS
    for _, slot, to, served in steps:
        if left <= 0:
            break
        sizes[slot] = to
        left -= served
    return sizes


def hull(row: dict[int, float]) -> list[tuple[float, int]]:
    """The sizes worth having in a time: (claims served per machine more, up to this size)."""
    corners: list[tuple[float, int, int]] = []
    for need in sorted(row):
        served, start = row[need], corners[-1][2] if corners else 0
        gain = served / (need - start)
        while corners and corners[-1][0] <= gain:
            before, begin, end = corners.pop()
            served += before * (end - begin)
            gain, start = served / (need - begin), begin
        corners.append((gain, start, need))
    return [(gain, end) for gain, _, end in corners]


def _why(*, usual: int, live: int, floor: int, hot: int, wanted: int, rate: float) -> str:
    about = f"about {rate:.1f} an hour expected"
    if hot < wanted:
        return f"{about}; {wanted} would serve them, {hot} is the most that may be hot"
    if live > max(usual, floor):
        return f"a burst is under way, {about}"
    if usual >= floor:
        return f"{about} at this time of the week"
    return f"the least that is kept; {about}"
