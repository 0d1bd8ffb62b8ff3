"""How many machines a pool should hold: by table, and over random histories."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.warm.sizing import (
    EMPTY,
    HISTORY_SECONDS,
    NEED_MAX,
    SizingLimits,
    WorkingHours,
    hull,
    needs,
    poisson_size,
    profile,
    slot_of_week,
    targets,
)

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
LIMITS = SizingLimits(hot_min=1, hot_max=5, cold_min=1, cold_max=6, keep_seconds=14 * DAY)


def at(hours: float, *, weeks: int = 0) -> datetime:
    return MONDAY + timedelta(hours=hours, weeks=weeks)


def decide(claims, now, *, limits=LIMITS, refill_seconds=10.0):
    seconds = [moment.timestamp() for moment in claims]
    known = profile(seconds, now.timestamp(), refill_seconds=refill_seconds, at_once=1)
    return targets(known, seconds, now, refill_seconds=refill_seconds, at_once=1, limits=limits)


@pytest.mark.parametrize(
    ("claims", "at_once", "found"),
    [
        ([0, 100, 200], 1, [1, 1, 1]),
        ([0, 1, 2], 1, [1, 2, 3]),
        ([0, 1, 10.5], 1, [1, 2, 2]),
        ([0, 1, 11.5], 2, [1, 2, 1]),
        ([0, 0, 0, 0], 4, [1, 2, 3, 4]),
        ([0, 1, 2, 21.5], 1, [1, 2, 3, 2]),
    ],
)
def test_a_claim_needs_one_more_machine_than_are_being_refilled(claims, at_once, found):
    assert needs(claims, 10.0, at_once) == found


def test_a_need_is_bounded():
    assert max(needs([0.0] * 500, 10.0, 1)) == NEED_MAX


@pytest.mark.parametrize(
    ("per_second", "refill_seconds", "size"),
    [(0.0, 1.0, 0), (10.0, 0.3, 8), (12 / 3600, 1.0, 1), (1.0, 10.0, 18)],
)
def test_poisson_arrivals_need_what_the_formula_says(per_second, refill_seconds, size):
    assert poisson_size(per_second, refill_seconds) == size


def test_a_size_that_serves_little_is_taken_together_with_the_one_that_serves_much():
    assert hull({1: 10.0, 2: 1.0, 3: 5.0}) == [(10.0, 1), (3.0, 3)]
    assert hull({3: 9.0}) == [(3.0, 3)]
    assert hull({}) == []


@pytest.mark.parametrize(("hours", "slot"), [(0, 0), (0.25, 1), (24 * 7 - 0.01, 671), (168, 0)])
def test_a_week_begins_on_monday(hours, slot):
    assert slot_of_week(at(hours).timestamp()) == slot


def test_a_new_pool_holds_the_least_that_is_kept():
    found = targets(EMPTY, [], at(9), refill_seconds=1.0, at_once=1, limits=LIMITS)
    assert (found.hot, found.cold) == (1, 1)
    assert found.why.startswith("the least that is kept")


def test_a_pool_that_nobody_asked_for_long_enough_holds_nothing():
    claims = [at(9)]
    assert decide(claims, at(9, weeks=1)).hot == 1
    found = decide(claims, at(10, weeks=2))
    assert (found.hot, found.cold, found.why) == (0, 0, "nobody asked for one lately")


def test_what_happens_every_monday_at_nine_is_expected_there_and_nowhere_else():
    claims = [at(9 + n / 1800, weeks=week) for week in range(4) for n in range(3)]
    now = at(9, weeks=4)
    assert decide(claims, now).hot == 3
    none = SizingLimits(hot_min=0, hot_max=5, cold_min=0, cold_max=6, keep_seconds=14 * DAY)
    assert decide(claims, at(15, weeks=4), limits=none).hot == 0
    assert "at this time of the week" in decide(claims, now).why


def test_a_burst_that_is_under_way_raises_the_size_at_once():
    claims = [at(3 + n / 3600) for n in range(6)]
    found = decide(claims, at(3.01))
    assert found.hot == LIMITS.hot_max
    assert "is the most that may be hot" in found.why
    assert found.cold >= 1


def test_the_floor_holds_in_working_hours_only():
    hours = WorkingHours(first_day=0, last_day=4, first_hour=8, end_hour=19)
    limits = SizingLimits(
        hot_min=2, hot_max=5, cold_min=0, cold_max=6, keep_seconds=14 * DAY, hours=hours
    )
    claims = [at(-200)]
    assert [decide(claims, at(h), limits=limits).hot for h in (7.9, 8, 18.9, 19)] == [0, 2, 2, 0]
    assert decide(claims, at(5 * 24 + 12), limits=limits).hot == 0


CLAIMS = st.lists(st.floats(0, 5 * WEEK), max_size=60).map(
    lambda offsets: sorted(MONDAY.timestamp() + offset for offset in offsets)
)


@given(CLAIMS, st.floats(-HOUR, 6 * WEEK), st.floats(0.01, 300), st.integers(1, 8))
def test_targets_stay_within_their_bounds_whatever_the_clock_says(
    claims, offset, refill_seconds, at_once
):
    now = MONDAY + timedelta(seconds=offset)
    known = profile(claims, now.timestamp(), refill_seconds=refill_seconds, at_once=at_once)
    assert len(known.sizes) == len(known.rates) == 672
    assert all(rate >= 0 for rate in known.rates)
    for shift in (0, -3600, 3600):
        found = targets(
            known,
            claims,
            now + timedelta(seconds=shift),
            refill_seconds=refill_seconds,
            at_once=at_once,
            limits=LIMITS,
        )
        assert 0 <= found.hot <= LIMITS.hot_max
        assert 0 <= found.cold <= LIMITS.cold_max
        assert found.hot >= LIMITS.hot_min or found.why == "nobody asked for one lately"


@given(CLAIMS, st.floats(0.01, 100), st.floats(1, 10))
def test_slower_refills_never_need_fewer_machines(claims, refill_seconds, factor):
    quick, slow = needs(claims, refill_seconds, 1), needs(claims, refill_seconds * factor, 1)
    assert all(one <= other for one, other in zip(quick, slow, strict=True))


@given(CLAIMS)
def test_expected_claims_of_a_week_are_about_those_there_were(claims):
    now = MONDAY.timestamp() + HISTORY_SECONDS
    known = profile(claims, now, refill_seconds=1.0, at_once=1)
    per_week = sum(known.rates) / 4
    weeks = max(1.0, (now - claims[0]) / WEEK) if claims else 1.0
    assert per_week <= 3 * len(claims) / weeks + 1e-9
