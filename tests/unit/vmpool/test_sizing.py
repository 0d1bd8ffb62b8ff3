"""How many machines a pool should hold: by table, and over random histories."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.warm.past import (
    EMPTY,
    HISTORY_SECONDS,
    NEED_MAX,
    SPEND_RATIO_MAX,
    hull,
    needs,
    poisson_size,
    profile,
    shared,
    slot_of_week,
)
from vmpool.warm.sizing import SizingLimits, WorkingHours, recent_seconds, targets, utc_offset

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
LIMITS = SizingLimits(hot_min=1, hot_max=5, cold_min=1, cold_max=6, keep_seconds=14 * DAY)


def at(hours: float, *, weeks: int = 0) -> datetime:
    return MONDAY + timedelta(hours=hours, weeks=weeks)


def decide(claims, now, *, limits=LIMITS, refill_seconds=10.0):
    seconds = [moment.timestamp() for moment in claims]
    known = profile(
        seconds,
        now.timestamp(),
        refill_seconds=refill_seconds,
        at_once=1,
        utc_offset_seconds=utc_offset(now),
    )
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


def test_a_size_is_at_least_what_the_formula_says_though_no_claim_ever_needed_it():
    claims = [at(day * 24 + 9 + n / 60).timestamp() for day in range(5) for n in range(480)]
    assert set(needs(claims, 10.0, 1)) == {1}
    known = profile(claims, at(7 * 24).timestamp(), refill_seconds=10.0, at_once=1)
    rate = known.rates[slot_of_week(at(12).timestamp())]
    assert rate == pytest.approx(60, rel=0.2)
    assert known.sizes[slot_of_week(at(12).timestamp())] == poisson_size(rate / HOUR, 10.0) == 2


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
    assert found.why == "the least that is kept; hardly any session expected"


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


@pytest.mark.parametrize("hours", [-10, 0, 9])
def test_what_is_expected_is_expected_by_the_clock_of_the_people(hours):
    there = timezone(timedelta(hours=hours))
    monday = datetime(2026, 1, 5, 9, tzinfo=there)
    claims = [monday + timedelta(weeks=week, seconds=n) for week in range(4) for n in range(3)]
    none = SizingLimits(hot_min=0, hot_max=5, cold_min=0, cold_max=6, keep_seconds=14 * DAY)
    now = monday + timedelta(weeks=4)
    assert decide(claims, now, limits=none).hot == 3
    assert decide(claims, now + timedelta(hours=5), limits=none).hot == 0


@pytest.mark.parametrize(("cold_max", "cold"), [(6, 4), (3, 3)])
def test_cold_ones_stand_by_for_the_most_that_was_ever_needed(cold_max, cold):
    claims = [at(9 + n / 3600) for n in range(5)]
    limits = SizingLimits(
        hot_min=1, hot_max=5, cold_min=1, cold_max=cold_max, keep_seconds=14 * DAY
    )
    found = decide(claims, at(39), limits=limits)
    assert (found.hot, found.cold) == (1, cold)


def test_a_burst_that_is_under_way_raises_the_size_at_once():
    claims = [at(3 + n / 3600) for n in range(6)]
    found = decide(claims, at(3.01))
    assert found.hot == LIMITS.hot_max
    assert "is the most that may be hot" in found.why
    assert found.cold >= 1


@pytest.mark.parametrize(
    ("seconds", "hot"),
    [([0], 0), ([0, 3], 3), ([0, 30], 2), ([0, 3, 4], 4), ([-80, 0], 0)],
)
def test_a_burst_is_given_one_machine_more_than_it_needed_so_far(seconds, hot):
    moment = MONDAY.timestamp()
    none = SizingLimits(hot_min=0, hot_max=9, cold_min=0, cold_max=0, keep_seconds=DAY)
    found = targets(
        EMPTY,
        [moment + each for each in seconds],
        MONDAY + timedelta(seconds=max(seconds)),
        refill_seconds=10.0,
        at_once=1,
        limits=none,
    )
    assert found.hot == hot


def test_a_burst_is_over_after_a_minute_and_a_refill():
    claims = [MONDAY.timestamp(), MONDAY.timestamp() + 1]
    none = SizingLimits(hot_min=0, hot_max=9, cold_min=0, cold_max=0, keep_seconds=DAY)
    for after, hot in ((recent_seconds(10.0) - 1, 3), (recent_seconds(10.0) + 1, 0)):
        now = MONDAY + timedelta(seconds=after)
        found = targets(EMPTY, claims, now, refill_seconds=10.0, at_once=1, limits=none)
        assert found.hot == hot


def test_many_claims_keep_a_sharp_edge_and_few_are_spread_over_hours():
    many, few = [0.0] * 96, [0.0] * 96
    many[32:72] = [30.0] * 40
    few[40] = 1.0
    measure = [1.0] * 96
    found = shared(many, measure)
    assert found[71] > 50 * found[72]
    assert max(shared(few, measure)) < 0.1


def test_claims_that_come_alone_at_night_are_not_waited_for_at_any_price():
    office = [
        at(8 + n / 12, weeks=w) for w in range(4) for n in range(5 * 24 * 12) if n % 288 < 120
    ]
    alone = [at(24 * day + 3 + day / 3, weeks=w) for w in range(4) for day in (1, 3, 5, 6)]
    seconds = sorted(moment.timestamp() for moment in office + alone)
    known = profile(seconds, at(0, weeks=4).timestamp(), refill_seconds=1.0, at_once=1)
    assert all(known.sizes[24 * 4 * day + 4 * 8 + 2] == 1 for day in range(5))
    assert sum(known.sizes) <= SPEND_RATIO_MAX * 5 * 10 * 4


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


@given(CLAIMS, st.floats(0.01, 300))
def test_no_size_is_less_than_the_formula_s(claims, refill_seconds):
    now = MONDAY.timestamp() + HISTORY_SECONDS
    known = profile(claims, now, refill_seconds=refill_seconds, at_once=1)
    for size, rate in zip(known.sizes, known.rates, strict=True):
        assert size == 0 or size >= poisson_size(rate / HOUR, refill_seconds)


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


COUNTS = st.lists(st.integers(0, 40), min_size=12, max_size=12)


@given(COUNTS, st.lists(st.floats(0.01, 9), min_size=12, max_size=12))
def test_sharing_out_keeps_the_sum_and_loses_nothing(counts, measure):
    found = shared(counts, measure)
    assert len(found) == 12
    assert all(each >= 0 for each in found)
    assert sum(found) == pytest.approx(sum(counts))


@given(st.integers(0, 500), st.lists(st.floats(0.01, 9), min_size=12, max_size=12))
def test_what_falls_as_the_measure_says_stays_as_it_is(total, measure):
    counts = [total * each / sum(measure) for each in measure]
    assert shared(counts, measure) == pytest.approx(counts)


@given(st.lists(st.integers(0, 5 * 7 * 24 - 1), min_size=1, unique=True))
def test_a_plan_costs_no_more_than_hindsight_allows(hours):
    first = MONDAY.timestamp()
    claims = [first, *(first + HOUR * hour + 1800 for hour in sorted(hours))]
    known = profile(claims, first + HISTORY_SECONDS, refill_seconds=1.0, at_once=1)
    assert sum(known.sizes) <= SPEND_RATIO_MAX * len(claims) * 4 / 5 + 1e-9
