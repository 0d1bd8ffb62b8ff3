"""What the claims of the last weeks say about each quarter of an hour of the week; pure.

A claim finds a hot machine if fewer refills are under way than the pool has machines. So the
question is how many refills were under way at each claim, the claim's **need**:

    claims of five weeks ──▶ needs ──▶ per slot of the week, a quarter of an hour: how many claims
                                       need 1, 2, 3 … machines
                                            │ shared out anew: times differ as far as claims show
                                            ▼
    one more machine in a slot is worth the claims that it serves: the best are taken, one after
    the other, until all but `MISSES_PLANNED` of the claims would be hits, or the pool would hold
    `SPEND_RATIO_MAX` times what hindsight would have ──▶ a size for each slot

The second bound matters where claims are rare: the last of them come at night and at weekends,
at times that can't be known, and each would have a machine wait for a day or more.

Because weeks are few, each size is also at least what Poisson arrivals of the slot's rate need
(λT + z·√λT, z = 2.33: the normal quantile of 99 %).
"""

import math
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

HISTORY_SECONDS = 5 * 7 * 86400.0
"""How far back claims count."""
SLOT_SECONDS = 900.0
DAY_SLOTS = 96
WEEK_SLOTS = 7 * DAY_SLOTS
WEEK_SECONDS = 7 * 86400.0
HOUR_SECONDS = 3600.0
Z = 2.33
NEED_MAX = 64
HITS_PROMISED = 0.99
MISSES_PLANNED = 0.005
"""Of the claims of weeks past; the promise is 1 %, and weeks differ."""
SPEND_RATIO_MAX = 1.44
"""Machine-hours, to those of the cheapest hourly sizes chosen with hindsight. The promise is 1.5;
a machine too many stays a little longer than planned."""
BURST_SECONDS = 60.0
"""People who open several machines do it within a minute or two; a claim that comes later says no
more than the time of the week does. Whoever asks within so long of another begins a burst."""
EVEN_CLAIMS = 6.0
"""So many claims in a time say as much of how they fall within it as that all times are alike.
Fewer, and chance is taken for habit; more, and the edges of a working day blur."""
LIKE_CLAIMS = 10.0
"""So many claims of one slot of the week weigh as much as what like days say about it."""
SEEN_DAYS_MIN = 2.0
"""A time of the day that was seen on fewer days counts as if it had been: the first claims of a
pool say little."""
_LIKE_DAYS = (range(5), range(5, 7))
"""Working days, and the weekend."""


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


def profile(
    claims: Sequence[float],
    now: float,
    *,
    refill_seconds: float,
    at_once: int,
    utc_offset_seconds: float = 0.0,
) -> Profile:
    """Learn from the claims of the last whole weeks, or of a first one (seconds since 1970)."""
    claims = [moment for moment in claims if now - HISTORY_SECONDS <= moment <= now]
    if not claims:
        return EMPTY
    # By parts of a week, times just seen look worse than those ahead, and sizes would chase those.
    weeks = (now - claims[0]) // WEEK_SECONDS
    since = now - weeks * WEEK_SECONDS if weeks else claims[0]
    claims = claims[bisect_left(claims, since) :]
    if not claims:
        return EMPTY
    slots = [slot_of_week(moment + utc_offset_seconds) for moment in claims]
    seen = _observed(since + utc_offset_seconds, now + utc_offset_seconds)
    return _learnt(claims, slots, seen, needs(claims, refill_seconds, at_once), refill_seconds)


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


def poisson_size(per_second: float, refill_seconds: float) -> int:
    """How many machines Poisson arrivals of this rate need for 99 % hits."""
    load = per_second * refill_seconds
    return math.ceil(load + Z * math.sqrt(load))


def slot_of_week(seconds: float) -> int:
    """The quarter of an hour of a moment (seconds since 1970, a Thursday), from Monday on."""
    return int(seconds // SLOT_SECONDS + 3 * DAY_SLOTS) % WEEK_SLOTS


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


def shared(counts: Sequence[float], measure: Sequence[float]) -> list[float]:
    """The same counts, shared out over their times anew: as seen, drawn towards the measure.

    From the day down, by eight hours and then by halves, a time's count goes to its parts as it was
    seen and as `EVEN_CLAIMS` more would fall by the measure (each above 0). So many claims keep a
    sharp edge, and few are spread over hours: a mean at each place would follow chance.
    """
    seen, even = [0.0, *accumulate(counts)], [0.0, *accumulate(measure)]
    found = [0.0] * len(counts)
    times = [(0, len(counts), seen[-1])]
    while times:
        begin, end, count = times.pop()
        if end - begin == 1:
            found[begin] = count
            continue
        middle = begin + (end - begin) // (2 if (end - begin) % 3 else 3)
        alike = EVEN_CLAIMS * (even[middle] - even[begin]) / (even[end] - even[begin])
        first = count * (seen[middle] - seen[begin] + alike)
        first /= seen[end] - seen[begin] + EVEN_CLAIMS
        times += ((begin, middle, first), (middle, end, count - first))
    return found


def _learnt(
    claims: Sequence[float],
    slots: Sequence[int],
    seen: list[float],
    wanted: Sequence[int],
    refill_seconds: float,
) -> Profile:
    """The profile by each claim's moment, slot and need, and how often each slot was seen."""
    weeks = _weeks(seen)
    expected = _expected(slots, wanted, seen, weeks)
    rates = [sum(row.values()) * HOUR_SECONDS / SLOT_SECONDS for row in expected]
    weights = [1.0 / weeks[slot] for slot in slots]
    spend = SPEND_RATIO_MAX * _hindsight(claims, wanted, weights) - _in_bursts(claims, weights)
    sizes = [
        max(size, poisson_size(rate / HOUR_SECONDS, refill_seconds)) if size else 0
        for size, rate in zip(_allotted(expected, spend), rates, strict=True)
    ]
    return Profile(sizes=tuple(sizes), rates=tuple(rates), peak=max(wanted), claims=len(claims))


def _observed(first: float, now: float) -> list[float]:
    """How often each slot of the week was seen since the first claim, in parts too."""
    weeks, rest = divmod(now - first, WEEK_SLOTS * SLOT_SECONDS)
    seen = [float(weeks)] * WEEK_SLOTS
    moment = now - rest
    while moment < now:
        end = min(now, (moment // SLOT_SECONDS + 1) * SLOT_SECONDS)
        seen[slot_of_week(moment)] += (end - moment) / SLOT_SECONDS
        moment = end
    return seen


def _slots(days: range, time: int) -> range:
    """This time of the day on these days, as slots of the week."""
    return range(days.start * DAY_SLOTS + time, days.stop * DAY_SLOTS, DAY_SLOTS)


def _weeks(seen: list[float]) -> list[float]:
    """How many weeks each slot was seen for, as far as like days tell."""
    weeks = [0.0] * WEEK_SLOTS
    for days in _LIKE_DAYS:
        for time in range(DAY_SLOTS):
            like = _slots(days, time)
            mean = max(SEEN_DAYS_MIN, sum(seen[slot] for slot in like)) / len(days)
            for slot in like:
                weeks[slot] = mean
    return weeks


def _expected(
    slots: Sequence[int], wanted: Sequence[int], seen: list[float], weeks: list[float]
) -> list[dict[int, float]]:
    """Expected claims per slot of the week and need, from the slot and need of each claim."""
    tables: dict[int, list[float]] = defaultdict(lambda: [0.0] * WEEK_SLOTS)
    for slot, need in zip(slots, wanted, strict=True):
        tables[need][slot] += 1.0
    expected: list[dict[int, float]] = [{} for _ in range(WEEK_SLOTS)]
    for days in _LIKE_DAYS:
        measure = _by_time(weeks, days)
        for need, table in sorted(tables.items()):
            counts = _by_time(table, days)
            if not any(counts):
                continue
            usual = shared(counts, measure)
            if need == 1:
                measure = usual
            for time, count in enumerate(usual):
                for slot in _slots(days, time):
                    mean = count / (len(days) * weeks[slot])
                    own = (table[slot] + LIKE_CLAIMS) / (mean * seen[slot] + LIKE_CLAIMS)
                    expected[slot][need] = mean * own
    return expected


def _by_time(table: Sequence[float], days: range) -> list[float]:
    """The sum over these days for each time of the day."""
    rows = [table[day * DAY_SLOTS : (day + 1) * DAY_SLOTS] for day in days]
    return [sum(each) for each in zip(*rows, strict=True)]


def _steps(rows: Iterable[tuple[int, dict[int, float]]]) -> list[tuple[float, int, int, int]]:
    """Machines more, best first: (claims served by each of them, time, size before, size after)."""
    steps = []
    for time, row in rows:
        size = 0
        for gain, to in hull(row):
            steps.append((gain, time, size, to))
            size = to
    return sorted(steps, key=lambda step: (-step[0], step[1], step[2]))


def _hindsight(claims: Sequence[float], wanted: Sequence[int], weights: Sequence[float]) -> float:
    """Machine-slots a week of the cheapest hourly sizes that keep the promise, with hindsight.

    `weights`: how much each claim's time is of an average week.
    """
    rows: dict[int, dict[int, float]] = defaultdict(dict)
    shares: dict[int, float] = {}
    for moment, need, weight in zip(claims, wanted, weights, strict=True):
        hour = int(moment // HOUR_SECONDS)
        shares[hour] = weight
        rows[hour][need] = rows[hour].get(need, 0.0) + 1.0
    left = HITS_PROMISED * sum(shares[hour] * sum(row.values()) for hour, row in rows.items())
    held = 0.0
    for gain, hour, size, to in _steps(rows.items()):
        if left <= 0:
            break
        held += shares[hour] * (to - size)
        left -= shares[hour] * (to - size) * gain
    return held * HOUR_SECONDS / SLOT_SECONDS


def _in_bursts(claims: Sequence[float], weights: Sequence[float]) -> float:
    """Machine-slots a week that bursts took: one machine more for a while, over and over."""
    gaps = [min(BURST_SECONDS, after - before) for before, after in pairwise(claims)]
    held = zip(gaps, gaps[1:], weights[1:], strict=False)
    return (
        sum(gap * weight for before, gap, weight in held if before < BURST_SECONDS) / SLOT_SECONDS
    )


def _allotted(expected: list[dict[int, float]], spend: float) -> list[int]:
    """Sizes that serve all but the planned misses for at most so many machine-slots a week."""
    left = sum(sum(row.values()) for row in expected) * (1.0 - MISSES_PLANNED)
    sizes = [0] * WEEK_SLOTS
    for gain, slot, size, to in _steps(enumerate(expected)):
        spend -= to - size
        if left <= 0 or spend < 0:
            break
        sizes[slot] = to
        left -= gain * (to - size)
    return sizes
