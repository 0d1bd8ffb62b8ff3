"""One pool, its claims, its refills: what share were hits, and how much memory waited for them."""

import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.simulation.arrivals import DAY, HOUR, WEEKS, WORKLOADS
from vmpool.warm import past, sizing
from vmpool.warm.plan import DWELL_SECONDS
from vmpool.warm.sizing import SizingLimits

MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
WARM_UP = 2 * 7 * DAY
END = WEEKS * 7 * DAY
TICK_SECONDS = 60.0
LEARN_SECONDS = 6 * HOUR
"""Seldomer than the product, so that a run takes a second or two."""
START = WARM_UP - LEARN_SECONDS
"""Before, the pool only learns."""
HIT_RATIO_MIN, COST_RATIO_MAX = 0.99, 1.5
REFILL_SECONDS = 1.0
AT_ONCE = 1
LIMITS = SizingLimits(
    hot_min=0, hot_max=24, cold_min=0, cold_max=24, keep_seconds=14 * DAY, hours=None
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a policy came to, after the warm-up."""

    claims: int
    hits: int
    machine_seconds: float
    """Hot machines and machines being heated, over time."""
    held: tuple[tuple[float, int], ...]
    """How many those were, at each change."""

    @property
    def hit_ratio(self) -> float:
        """Share of the claims that found a hot machine."""
        return self.hits / self.claims


class Simulated:
    """A pool under the product's sizing."""

    def __init__(self, claims: Sequence[float], limits: SizingLimits = LIMITS) -> None:
        self._claims = claims
        self._limits = limits
        self._hot: deque[float] = deque()
        self._ends: deque[float] = deque()
        self._profile = past.EMPTY

    def run(self) -> Outcome:
        """Go through the weeks."""
        ticks = [
            n * TICK_SECONDS for n in range(int(START / TICK_SECONDS), int(END / TICK_SECONDS))
        ]
        hits = counted = 0
        machine_seconds, before = 0.0, 0.0
        held: list[tuple[float, int]] = []
        claims = self._claims[bisect_left(self._claims, START) :]
        moments = [(tick, False) for tick in ticks] + [(claim, True) for claim in claims]
        for moment, is_claim in sorted(moments):
            taken = len(self._hot) + len(self._ends)
            if moment > WARM_UP:
                machine_seconds += taken * (moment - max(before, WARM_UP))
                if not held or held[-1][1] != taken:
                    held.append((moment, taken))
            before = moment
            self._finish_refills(moment)
            if is_claim:
                hit = bool(self._hot)
                if hit:
                    self._hot.popleft()
                if moment > WARM_UP:
                    counted += 1
                    hits += hit
            elif moment % LEARN_SECONDS == 0:
                self._learn(moment)
            self._follow(moment)
        return Outcome(claims=counted, hits=hits, machine_seconds=machine_seconds, held=tuple(held))

    def _finish_refills(self, moment: float) -> None:
        while self._ends and self._ends[0] <= moment:
            self._hot.append(self._ends.popleft())

    def _learn(self, moment: float) -> None:
        known = [MONDAY + claim for claim in self._claims[: bisect_right(self._claims, moment)]]
        self._profile = past.profile(
            known, MONDAY + moment, refill_seconds=REFILL_SECONDS, at_once=AT_ONCE
        )

    def _follow(self, moment: float) -> None:
        end = bisect_right(self._claims, moment)
        recent = moment - sizing.recent_seconds(REFILL_SECONDS)
        start = min(bisect_left(self._claims, recent), max(0, end - 1))
        wanted = sizing.targets(
            self._profile,
            [MONDAY + claim for claim in self._claims[start:end]],
            datetime.fromtimestamp(MONDAY + moment, UTC),
            refill_seconds=REFILL_SECONDS,
            at_once=AT_ONCE,
            limits=self._limits,
        ).hot
        for _ in range(wanted - len(self._hot) - len(self._ends)):
            start_at = max(moment, self._ends[-1]) if self._ends else moment
            self._ends.append(start_at + REFILL_SECONDS)
        while len(self._hot) > wanted and moment - self._hot[0] >= DWELL_SECONDS:
            self._hot.popleft()


def cheapest(claims: Sequence[float], hits: int) -> float:
    """Machine-seconds of the cheapest hourly sizes that serve so many claims, with hindsight.

    An hour's size serves the claims that need no more machines than it has; for each hour the
    sizes worth having are the corners of a concave hull, and the best corners are taken first
    until enough is served. That never costs more than the true optimum but for the last step,
    which is counted in part: the bound is in the oracle's favour.
    """
    wanted = past.needs(claims, REFILL_SECONDS, AT_ONCE)
    rows: dict[int, dict[int, float]] = {}
    for moment, need in zip(claims, wanted, strict=True):
        if moment > WARM_UP:
            row = rows.setdefault(int(moment // HOUR), {})
            row[need] = row.get(need, 0.0) + 1.0
    steps: list[tuple[float, float]] = []
    for row in rows.values():
        size = 0
        for gain, to in past.hull(row):
            steps.append((gain, float(to - size)))
            size = to
    steps.sort(reverse=True)
    left, machines = float(hits), 0.0
    for gain, width in steps:
        part = min(1.0, left / (gain * width))
        machines += part * width
        left -= part * gain * width
        if left <= 0:
            break
    return machines * HOUR


@dataclass(frozen=True, kw_only=True)
class Run:
    """One workload's seed under the product's sizing, and what hindsight would have paid."""

    seed: int
    claims: Sequence[float]
    outcome: Outcome
    best_seconds: float
    """Machine-seconds of the cheapest hourly sizes for as many hits."""

    @property
    def hit_ratio(self) -> float:
        """Share of the claims that found a hot machine."""
        return self.outcome.hit_ratio

    @property
    def cost_ratio(self) -> float:
        """Machine-seconds to those that hindsight would have paid."""
        return self.outcome.machine_seconds / self.best_seconds


def run(workload: str, seed: int) -> Run:
    """Simulate one seed of a workload."""
    claims = WORKLOADS[workload](random.Random(seed))
    outcome = Simulated(claims).run()
    best = cheapest(claims, outcome.hits)
    return Run(seed=seed, claims=claims, outcome=outcome, best_seconds=best)


def met(hit_ratio: float, cost_ratio: float) -> bool:
    """Whether both targets are."""
    return hit_ratio >= HIT_RATIO_MIN and cost_ratio <= COST_RATIO_MAX
