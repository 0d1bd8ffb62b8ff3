"""The product's sizing over weeks: few misses, for little more than hindsight pays.

One seed may miss by chance: of 1,700 claims 17 may be misses, and that number is four more or less
from one seed to the next. So a workload is judged by its mean over twenty seeds; over a few, which
is all that is quick, it may be `CHANCE` worse. `bursts` and `small team` miss the target by a
little, and docs/pool-sizing.md says why: what they reach is held here, so that it gets no worse.
"""

import os
import random
from statistics import fmean

import pytest

from tests.simulation.arrivals import TRACE, WEEKS, recorded
from tests.simulation.run import COST_RATIO_MAX, HIT_RATIO_MIN, WARM_UP, run

BOUNDS = {
    "steady": (HIT_RATIO_MIN, COST_RATIO_MAX),
    "working days": (HIT_RATIO_MIN, COST_RATIO_MAX),
    "bursts": (0.989, COST_RATIO_MAX),
    "small team": (0.986, COST_RATIO_MAX),
}
"""Least hit ratio, highest cost ratio."""
CHANCE = (0.002, 0.05)
SEEDS_ENOUGH = 20
SEEDS = int(os.environ.get("ONA_TEST_SIMULATED_SEEDS", "2"))
"""As many as are enough in the long tests."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workload", BOUNDS)
def test_nearly_all_claims_are_hits_at_little_more_than_hindsight_pays(workload):
    hits, cost = means(workload, range(1, SEEDS + 1))
    slack = CHANCE if SEEDS < SEEDS_ENOUGH else (0.0, 0.0)
    assert hits >= BOUNDS[workload][0] - slack[0]
    assert cost <= BOUNDS[workload][1] + slack[1]


def test_so_they_are_as_recorded():
    recording = run("recorded", 0)
    assert recording.outcome.claims > 4000
    assert recording.hit_ratio >= HIT_RATIO_MIN
    assert recording.cost_ratio <= COST_RATIO_MAX


def means(workload, seeds):
    runs = [run(workload, seed) for seed in seeds]
    return fmean(one.hit_ratio for one in runs), fmean(one.cost_ratio for one in runs)


def test_the_trace_is_weeks_long_and_in_order():
    claims = recorded(random.Random(0))
    assert claims == sorted(claims)
    assert claims[-1] > WARM_UP + (WEEKS - 3) * 7 * 86400
    assert TRACE.stat().st_size < 200_000
