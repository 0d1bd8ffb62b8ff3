"""When a schedule is due: its rules, the days on which clocks change, what was missed."""

from calendar import monthrange
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from dateutil.rrule import DAILY, rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.local import existence, local, moment
from scheduler.rules import (
    Cron,
    Days,
    Every,
    NeverComes,
    Once,
    OutOfBounds,
    halves,
    kept,
    restored,
)
from scheduler.schedule import Decision, Schedule, acted_on_at, decide

BERLIN = "Europe/Berlin"
ZONES = [BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]
ZONES += ["Africa/Cairo", "America/Havana", "America/Santiago", "Asia/Beirut", "Atlantic/Azores"]
"""The last ones change their clocks at midnight."""
ID = UUID(int=7)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(rule, start: str, *, count: int = 3, zone: str = BERLIN, **more) -> list[str]:
    schedule = Schedule(rule=rule, zone=zone, **more)
    return [f"{one:%m-%d %H:%M}" for one in schedule.next_times(at(start), count)]


@pytest.mark.parametrize(
    ("fields", "start", "expected"),
    [
        # Clocks jump from 2:00 to 3:00 on 28 March 2027, at 1:00 UTC.
        ("30 2 * * *", "2027-03-27 00:00", ["03-27 01:30", "03-28 01:00", "03-29 00:30"]),
        ("0 3 * * *", "2027-03-27 12:00", ["03-28 01:00", "03-29 01:00", "03-30 01:00"]),
        ("30 * * * *", "2027-03-28 00:00", ["03-28 00:30", "03-28 01:30", "03-28 02:30"]),
        ("*/20 2 * * *", "2027-03-27 12:00", ["03-28 01:00", "03-29 00:00", "03-29 00:20"]),
        # They are set back from 3:00 to 2:00 on 31 October 2027, at 1:00 UTC.
        ("30 2 * * *", "2027-10-30 12:00", ["10-31 00:30", "11-01 01:30", "11-02 01:30"]),
        ("30 * * * *", "2027-10-30 23:45", ["10-31 00:30", "10-31 01:30", "10-31 02:30"]),
        ("0 3 * * *", "2027-10-30 12:00", ["10-31 02:00", "11-01 02:00", "11-02 02:00"]),
        ("0 9 * * mon#1", "2027-01-02 00:00", ["01-04 08:00", "02-01 08:00", "03-01 08:00"]),
        ("0 9 * * L5", "2027-01-02 00:00", ["01-29 08:00", "02-26 08:00", "03-26 08:00"]),
        ("0 9 L * *", "2027-01-02 00:00", ["01-31 08:00", "02-28 08:00", "03-31 07:00"]),
        ("0 9 29 2 *", "2027-01-02 00:00", ["02-29 08:00", "02-29 08:00", "02-29 08:00"]),
    ],
)
def test_cron_reads_the_clocks_of_the_zone(fields, start, expected):
    assert due(Cron(fields=fields), start) == expected


def test_cron_in_a_zone_whose_clocks_change_by_half_an_hour():
    # Lord Howe: 2:00 to 2:30 on 3 October 2027, 2:00 back to 1:30 on 4 April.
    lord_howe = {"zone": "Australia/Lord_Howe", "count": 2}
    assert due(Cron(fields="15 2 * * *"), "2027-10-02 00:00", **lord_howe) == [
        "10-02 15:30",
        "10-03 15:15",
    ]
    assert due(Cron(fields="45 1 * * *"), "2027-04-03 00:00", **lord_howe) == [
        "04-03 14:45",
        "04-04 15:15",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        "* * * *",
        "* * * * * *",
        "@daily",
        "0 9 * * mon#6",
        "R R * * *",
        "",
        "a b c d e",
    ],
)
def test_what_is_no_cron_is_refused(fields):
    with pytest.raises(ValueError, match="cron"):
        Cron(fields=fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("61 * * * *", "the minute is from 0 to 59, not 61"),
        ("0,100 * * * *", "the minute is from 0 to 59, not 100"),
        ("0 9-24 * * *", "the hour is from 0 to 23, not 24"),
        ("0 9 0 * *", "the day is from 1 to 31, not 0"),
        ("0 9 1 13/2 *", "the month is from 1 to 12, not 13"),
        ("0 9 * * mon-8", "the weekday is from 0 to 7, not 8"),
    ],
)
def test_a_number_that_a_field_can_t_have_is_named_with_its_field(fields, said):
    with pytest.raises(OutOfBounds) as wrong:
        Cron(fields=fields)
    assert str(wrong.value) == said


@pytest.mark.parametrize("fields", ["0 9 30 2 *", "0 0 31 2,4 *"])
def test_a_cron_of_no_day_is_refused(fields):
    with pytest.raises(NeverComes, match="never comes"):
        Cron(fields=fields)


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ("0 0 29 feb mon#5", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 31 4,6 mon#5", ["2029-04-30", "2030-04-29", "2031-06-30"]),
        ("0 0 30 2 L5", ["2027-02-26", "2028-02-25", "2029-02-23"]),
        ("0 0 * feb mon#5", ["2044-02-29"]),
    ],
)
def test_either_half_of_a_cron_is_met_alone(fields, days):
    after = Schedule(rule=Cron(fields=fields), zone="UTC").next_times(at("2027-01-01 00:00"), 3)
    assert [f"{one:%Y-%m-%d}" for one in after][: len(days)] == days


def test_seconds_that_pass_and_days_that_keep_their_time():
    first = at("2027-03-27 11:00")
    assert due(Every(seconds=86400, first=first), "2027-03-27 11:00") == [
        "03-28 11:00",
        "03-29 11:00",
        "03-30 11:00",
    ]
    days = Days(days=1, first=datetime(2027, 3, 27, 12))
    assert due(days, "2027-03-27 11:00") == ["03-28 10:00", "03-29 10:00", "03-30 10:00"]
    fortnight = Days(days=14, first=datetime(2027, 3, 19, 9))
    assert due(fortnight, "2027-01-01 00:00") == ["03-19 08:00", "04-02 07:00", "04-16 07:00"]


def test_it_is_due_between_its_dates_only():
    rule = Cron(fields="0 9 * * *")
    edges = {"starts_at": at("2027-01-10 08:00"), "ends_at": at("2027-01-11 08:00")}
    assert due(rule, "2027-01-01 00:00", **edges) == ["01-10 08:00", "01-11 08:00"]
    assert due(Once(at=at("2027-01-12 08:00")), "2027-01-01 00:00", **edges) == []


moments = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)).map(
    lambda one: one.replace(tzinfo=UTC)
)
CHANGES = [
    *(at("2027-03-28"), at("2027-10-31"), at("2027-03-14"), at("2027-11-07"), at("2027-04-04")),
    *(at("2027-10-03"), at("2027-04-30"), at("2027-10-29"), at("2027-09-05")),
]
fields = st.tuples(
    st.sampled_from(["*", "0", "30", "*/15", "5,35"]),
    st.sampled_from(["*", "2", "9", "1-3", "*/6", "0"]),
    st.sampled_from(["*", "1", "15", "L", "*/10"]),
    st.sampled_from(["*", "3", "10,11", "*/2"]),
    st.sampled_from(["*", "mon-fri", "sun", "fri#2"]),
).map(" ".join)
rules = st.one_of(
    fields.map(lambda one: Cron(fields=one)),
    st.builds(Every, seconds=st.integers(60, 10**6), first=moments),
    st.builds(
        Days, days=st.integers(1, 40), first=moments.map(lambda one: one.replace(tzinfo=None))
    ),
    st.builds(Once, at=moments),
)


@settings(max_examples=60, deadline=None)
@given(rules, st.sampled_from(ZONES), moments)
def test_the_next_moment_is_later_and_nothing_is_due_between(rule, zone, last):
    schedule = Schedule(rule=rule, zone=zone)
    following = schedule.next_after(last)
    if following is None:
        return
    assert following > last
    assert schedule.next_after(following - timedelta(microseconds=1)) == following
    between = last + (following - last) / 2
    assert schedule.next_after(between) == following
    later = schedule.next_after(following)
    assert later is None or later > following


minutes = st.sets(st.integers(0, 59), min_size=1, max_size=3)
hours = st.sets(st.integers(0, 23), min_size=1, max_size=3)
months = st.sets(st.integers(1, 12), min_size=1, max_size=4)
month_days = st.sets(st.integers(1, 31), min_size=1, max_size=3)
week_days = st.sets(st.integers(0, 6), min_size=1, max_size=3)


def listed(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@settings(max_examples=60, deadline=None)
@given(st.tuples(minutes, hours, months, month_days, week_days), st.booleans(), moments)
def test_cron_is_due_when_the_recurrence_rules_of_a_library_are(drawn, by_week, last):
    minutes, hours, months, month_days, week_days = drawn
    days = {"byweekday": week_days} if by_week else {"bymonthday": month_days}
    start = last.replace(tzinfo=None, second=0, microsecond=0)
    recurrence = rrule(
        DAILY, start, byminute=minutes, byhour=hours, bymonth=months, bysecond=0, **days
    )
    month_day = "*" if by_week else listed(month_days)
    week_day = listed({(day + 1) % 7 for day in week_days}) if by_week else "*"
    fields = f"{listed(minutes)} {listed(hours)} {month_day} {listed(months)} {week_day}"
    expected = None
    if by_week or any(day <= monthrange(2028, month)[1] for day in month_days for month in months):
        expected = recurrence.after(last.replace(tzinfo=None)).replace(tzinfo=UTC)
    assert Cron(fields=fields).after(last, ZoneInfo("UTC")) == expected


@settings(max_examples=60, deadline=None)
@given(fields, st.sampled_from(ZONES), moments)
def test_the_clocks_show_what_cron_says_unless_they_skip_it(fields, zone, last):
    found = Cron(fields=fields).after(last, ZoneInfo(zone))
    if found is None:
        return
    shown = local(found, ZoneInfo(zone))
    before = local(found - timedelta(seconds=1), ZoneInfo(zone))
    jumped = shown - before > timedelta(minutes=1)
    assert any(croniter.match(half, shown) for half in halves(fields)) or jumped


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)), st.sampled_from(ZONES))
def test_every_time_of_a_clock_is_a_moment(wall, zone):
    found = moment(wall.replace(microsecond=0), ZoneInfo(zone))
    shown = local(found, ZoneInfo(zone))
    if existence(wall, ZoneInfo(zone)) == "never":
        assert shown > wall
    else:
        assert shown == wall.replace(microsecond=0)


@given(rules)
def test_a_rule_is_kept_as_json(rule):
    assert restored(kept(rule)) == rule


@pytest.mark.parametrize(
    "row", [{}, {"kind": "moon"}, {"kind": "cron"}, {"kind": "every", "seconds": 5}]
)
def test_what_is_no_rule_is_refused(row):
    with pytest.raises(ValueError, match="is"):
        restored(row)


@pytest.mark.parametrize(
    ("zone", "jitter"), [("Mars/Phobos", 0), ("UTC", -1), ("UTC", 3601), ("../etc/passwd", 0)]
)
def test_what_is_no_schedule_is_refused(zone, jitter):
    with pytest.raises(ValueError, match=r"zone|jitter"):
        Schedule(rule=Cron(fields="0 9 * * *"), zone=zone, jitter_seconds=jitter)


def minutely(**more) -> Schedule:
    return Schedule(rule=Cron(fields="* * * * *"), zone="UTC", **more)


def test_what_is_due_now_is_done_and_the_next_waits():
    decision = decide(minutely(), at("2027-01-01 10:00"), at("2027-01-01 10:00:20"))
    assert decision == Decision(
        latest=at("2027-01-01 10:00"), fires=True, missed=0, next=at("2027-01-01 10:01")
    )


def test_what_was_missed_is_done_once_and_late_or_not_at_all():
    due, now = at("2027-01-01 10:00"), at("2027-01-01 10:05:30")
    assert decide(minutely(), due, now) == Decision(
        latest=at("2027-01-01 10:05"), fires=True, missed=5, next=at("2027-01-01 10:06")
    )
    daily = {"rule": Cron(fields="0 10 * * *"), "zone": "UTC"}
    late = Decision(latest=due, fires=True, missed=0, next=at("2027-01-02 10:00"))
    assert decide(Schedule(**daily), due, now) == late
    skips = Schedule(**daily, misfire="skip")
    assert decide(skips, due, now) == replace(late, fires=False, missed=1)
    assert decide(skips, due, due + timedelta(seconds=59)) == late


def test_of_a_year_that_was_missed_the_last_moment_is_done():
    decision = decide(minutely(), at("2027-01-01 10:00"), at("2028-01-01 10:00:30"))
    assert decision == Decision(
        latest=at("2028-01-01 10:00"), fires=True, missed=365 * 1440, next=at("2028-01-01 10:01")
    )


def test_what_is_missed_is_counted_to_its_end_date():
    ends = {"ends_at": at("2027-01-01 12:30")}
    hourly = Schedule(rule=Cron(fields="0 * * * *"), zone="UTC", **ends)
    assert decide(hourly, at("2027-01-01 10:00"), at("2027-03-01 00:00")) == Decision(
        latest=at("2027-01-01 12:00"), fires=True, missed=2, next=None
    )


def test_hundreds_of_schedules_that_were_silent_for_days_are_not_walked_step_by_step(monkeypatch):
    steps = 0
    walk = Cron._next

    def counted(self, shown):
        nonlocal steps
        steps += 1
        return walk(self, shown)

    schedule = Schedule(rule=Cron(fields="*/5 * * * *"), zone=BERLIN)
    monkeypatch.setattr(Cron, "_next", counted)
    decision = decide(schedule, at("2027-03-20 10:00"), at("2027-03-30 10:00"))
    assert (decision.missed, steps) == (10 * 24 * 12, 1)


@settings(max_examples=300, deadline=None)
@given(
    rules,
    st.sampled_from(ZONES),
    st.one_of(moments, st.sampled_from(CHANGES).map(lambda one: one - timedelta(days=1))),
    st.integers(0, 10**6),
    st.sampled_from(["late", "skip"]),
)
def test_nothing_is_forgotten_and_nothing_is_done_twice(rule, zone, start, seconds, misfire):
    schedule = Schedule(rule=rule, zone=zone, misfire=misfire)
    due = schedule.next_after(start)
    if due is None:
        return
    now = due + timedelta(seconds=seconds)
    decision = decide(schedule, due, now)
    each = [due]
    while (following := schedule.next_after(each[-1])) and following <= now and len(each) < 500:
        each.append(following)
    if len(each) < 500:
        assert decision.latest == each[-1]
        assert decision.missed + int(decision.fires) == len(each)
    assert decision.latest <= now
    assert decision.next is None or decision.next > now


def test_jitter_is_the_same_whoever_computes_it_and_spreads():
    schedule = minutely(jitter_seconds=600)
    due = at("2027-01-01 10:00")
    late = [acted_on_at(schedule, UUID(int=one), due) - due for one in range(200)]
    assert acted_on_at(schedule, ID, due) == acted_on_at(schedule, ID, due)
    assert all(timedelta() <= one < timedelta(seconds=600) for one in late)
    assert max(late) - min(late) > timedelta(seconds=400)
    assert acted_on_at(minutely(), ID, due) == due


def test_what_waits_for_its_jitter_is_not_missed():
    decision = decide(minutely(jitter_seconds=600), at("2027-01-01 10:00"), at("2027-01-01 10:08"))
    assert (decision.latest, decision.fires) == (at("2027-01-01 10:00"), True)
    assert (decision.missed, decision.next) == (0, at("2027-01-01 10:01"))
