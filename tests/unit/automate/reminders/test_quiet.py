"""Hours in which nothing is posted, also on the days on which clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.reminders.quiet import ends, read

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = "22:00-07:00"


def over(quiet: str, shown: str, *, fold: int = 0) -> str | None:
    """When they are over, as clocks in Berlin show it, said at a time that they show."""
    now = datetime.fromisoformat(shown).replace(tzinfo=BERLIN, fold=fold)
    until = ends(quiet, now.astimezone(UTC), BERLIN)
    return None if until is None else f"{until.astimezone(BERLIN):%m-%d %H:%M%z}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("22-7", NIGHT),
        (" 22:00 - 07:00 ", NIGHT),
        ("9:30-12", "09:30-12:00"),
        ("off", ""),
        ("keine", ""),
        ("", ""),
    ],
)
def test_hours_are_read(said, expected):
    assert read(said) == expected


@pytest.mark.parametrize("said", ["25-7", "22:60-7", "22", "22-22", "always", "22-7 and 12-13"])
def test_what_are_no_hours_is_refused(said):
    with pytest.raises(ValueError, match=r"hour|span|day|must be"):
        read(said)


@pytest.mark.parametrize(
    ("quiet", "shown", "expected"),
    [
        (NIGHT, "2027-01-10 21:59", None),
        (NIGHT, "2027-01-10 22:00", "01-11 07:00+0100"),
        (NIGHT, "2027-01-11 06:59", "01-11 07:00+0100"),
        (NIGHT, "2027-01-11 07:00", None),
        ("12:00-13:00", "2027-01-10 12:30", "01-10 13:00+0100"),
        ("12:00-13:00", "2027-01-10 13:00", None),
        ("", "2027-01-10 12:30", None),
    ],
)
def test_they_end_at_their_end(quiet, shown, expected):
    assert over(quiet, shown) == expected


@pytest.mark.parametrize(
    ("quiet", "shown", "fold", "expected"),
    [
        # Clocks jump from 2:00 to 3:00 on 28 March 2027.
        (NIGHT, "2027-03-28 01:00", 0, "03-28 07:00+0200"),
        ("22:00-02:30", "2027-03-28 01:00", 0, "03-28 03:00+0200"),
        # They are set back from 3:00 to 2:00 on 31 October 2027.
        (NIGHT, "2027-10-31 02:30", 1, "10-31 07:00+0100"),
        ("22:00-02:30", "2027-10-31 02:10", 0, "10-31 02:30+0200"),
        ("22:00-02:30", "2027-10-31 02:40", 0, None),
        ("22:00-02:30", "2027-10-31 02:10", 1, None),
        ("02:15-02:45", "2027-10-31 02:20", 1, None),
    ],
)
def test_where_clocks_change_they_end_once(quiet, shown, fold, expected):
    assert over(quiet, shown, fold=fold) == expected


CHANGES = {
    "Europe/Berlin": ("2027-03-28 01:00", "2027-10-31 01:00"),
    "America/New_York": ("2027-03-14 07:00", "2027-11-07 06:00"),
    "Australia/Lord_Howe": ("2027-04-03 15:00", "2027-10-02 15:30"),
}
"""When clocks change, in UTC."""
around = st.sampled_from([(zone, at) for zone, both in CHANGES.items() for at in both])
times = st.times().map(lambda one: f"{one:%H:%M}")


@given(around, st.integers(-180, 180), st.tuples(times, times).filter(lambda one: len({*one}) == 2))
def test_what_waits_for_their_end_waits_for_something_that_comes(change, minutes, hours):
    zone, at = change
    now = datetime.fromisoformat(at).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    until = ends("-".join(hours), now, ZoneInfo(zone))
    assert until is None or now < until <= now + timedelta(hours=25)
