"""The product's sizing on recorded claims: few misses, for little more than hindsight pays."""

import random

from tests.simulation.arrivals import TRACE, WEEKS, recorded
from tests.simulation.run import WARM_UP, Simulated, cheapest


def test_recorded_claims_are_nearly_all_hits_at_little_more_than_hindsight_pays():
    claims = recorded(random.Random(0))
    outcome = Simulated(claims).run()
    assert outcome.claims > 4000
    assert outcome.hit_ratio >= 0.99
    assert outcome.machine_seconds <= 1.5 * cheapest(claims, outcome.hits)


def test_the_trace_is_weeks_long_and_in_order():
    claims = recorded(random.Random(0))
    assert claims == sorted(claims)
    assert claims[-1] > WARM_UP + (WEEKS - 3) * 7 * 86400
    assert TRACE.stat().st_size < 200_000
