"""Times in words: a table of phrases, other zones, days on which clocks change."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.when import NotRead, Unclear, first_part, last_part, when
from tests.unit.scheduler.reading import shown, told

NOW = "2026-11-25 10:20"
MOMENT = datetime(2026, 11, 25, 9, 20, tzinfo=UTC)
PHRASES = [
    tuple(part.strip() for part in line.rsplit(" | ", 1))
    for line in (Path(__file__).parent / "phrases.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def test_the_table_has_as_many_phrases_as_it_should():
    assert len(dict(PHRASES)) == len(PHRASES) >= 200


@pytest.mark.parametrize(("phrase", "understood"), PHRASES)
def test_a_phrase_is_understood_or_asked_back(phrase, understood):
    assert told(phrase, now=NOW, zone="Europe/Berlin") == understood


NOBODY_SAYS = {"* * * * * *", "tomorrow tomorrow", "every day at 9 Mars/Phobos"}
UNREAD = [phrase for phrase, understood in PHRASES if understood == "-"]


@pytest.mark.parametrize("phrase", sorted({*UNREAD} - NOBODY_SAYS))
def test_of_a_phrase_that_is_not_read_no_part_is_taken_for_all_of_it(phrase):
    with pytest.raises((NotRead, Unclear)):
        first_part(f"{phrase} call Bob", now=MOMENT, zone="Europe/Berlin")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])
def test_the_same_words_mean_the_same_clocks_in_another_zone(zone):
    own = {
        phrase: understood
        for phrase, understood in PHRASES
        if understood not in {"? gap", "? twice"}
        and not any(named in phrase for named in ("UTC", "America/", "Europe/", "Asia/"))
    }
    assert {phrase: told(phrase, now=NOW, zone=zone) for phrase in own} == own


@pytest.mark.parametrize(
    ("now", "zone", "phrase", "understood"),
    [
        ("2027-03-27 12:00", "Europe/Berlin", "tomorrow at 02:30", "? gap"),
        ("2027-03-27 12:00", "Europe/Berlin", "tomorrow at 03:00", "2027-03-28 03:00"),
        ("2027-10-30 12:00", "Europe/Berlin", "tomorrow at 02:30", "? twice"),
        ("2027-10-30 12:00", "Europe/Berlin", "tomorrow at 03:00", "2027-10-31 03:00"),
        ("2027-03-13 12:00", "America/New_York", "tomorrow at 02:30", "? gap"),
        ("2027-11-06 12:00", "America/New_York", "tomorrow at 01:30", "? twice"),
        ("2027-10-02 12:00", "Australia/Lord_Howe", "tomorrow at 02:15", "? gap"),
        ("2027-10-02 12:00", "Australia/Lord_Howe", "tomorrow at 02:30", "2027-10-03 02:30"),
        ("2027-04-03 12:00", "Australia/Lord_Howe", "tomorrow at 01:45", "? twice"),
        ("2027-03-27 12:00", "Asia/Kolkata", "tomorrow at 02:30", "2027-03-28 02:30"),
        # Time that passes, and days of the calendar.
        ("2027-03-27 12:00", "Europe/Berlin", "in 24 hours", "2027-03-28 13:00"),
        ("2027-03-27 12:00", "Europe/Berlin", "in 1 day", "2027-03-28 12:00"),
        ("2027-10-30 12:00", "Europe/Berlin", "in 24 hours", "2027-10-31 11:00"),
        ("2027-03-28 01:50", "Europe/Berlin", "in 20 minutes", "2027-03-28 03:10"),
        ("2028-02-28 12:00", "Europe/Berlin", "morgen um 10", "2028-02-29 10:00"),
        ("2027-01-31 12:00", "Europe/Berlin", "in a month", "2027-02-28 12:00"),
        ("2026-12-31 23:50", "Europe/Berlin", "in 20 minutes", "2027-01-01 00:10"),
        ("2026-12-31 23:50", "Europe/Berlin", "tomorrow 9", "2027-01-01 09:00"),
        ("2026-12-25 12:00", "Europe/Berlin", "24.12. 10 Uhr", "2027-12-24 10:00"),
    ],
)
def test_days_on_which_clocks_change_and_years_end(now, zone, phrase, understood):
    assert told(phrase, now=now, zone=zone) == understood


@pytest.mark.parametrize(
    ("said", "understood", "rest"),
    [
        ("every friday 16:00 what is still open", "cron 0 16 * * fri", "what is still open"),
        ("in 20 minutes to check the build", "2026-11-25 10:40", "to check the build"),
        ("friday do the laundry", "2026-11-27 09:00 (assumed)", "do the laundry"),
        ("morgen um 9 Uhr: Urlaub eintragen", "2026-11-26 09:00", "Urlaub eintragen"),
        ("jeden Werktag um 8:30 Wer ist krank?", "cron 30 8 * * mon-fri", "Wer ist krank?"),
        ("0 9 * * 1-5 stand-up", "cron 0 9 * * 1-5", "stand-up"),
        ("tomorrow 9, then 3 more things", "2026-11-26 09:00", "then 3 more things"),
        ("every day at 9 UTC stand-up", "cron 0 9 * * *", "stand-up"),
        ("morgen um 9 Uhr an den Urlaub", "2026-11-26 09:00", "an den Urlaub"),
        ("morgen um 9 einen Kuchen backen", "2026-11-26 09:00", "einen Kuchen backen"),
        ("tomorrow 9 a word to Bob", "2026-11-26 09:00", "a word to Bob"),
        ("in half an hour an apple", "2026-11-25 10:50", "an apple"),
        ("in 5 minutes 日本語", "2026-11-25 10:25", "日本語"),
    ],
)
def test_a_time_in_front_of_what_it_is_for(said, understood, rest):
    reading = first_part(said, now=MOMENT, zone="Europe/Berlin")
    assert (shown(reading), reading.rest) == (understood, rest)


@pytest.mark.parametrize(
    "said", ["check the build", "", "fridays are long enough?", "mañana a las 9"]
)
def test_words_that_begin_with_no_time(said):
    with pytest.raises(NotRead):
        first_part(said.replace("fridays", "my fridays"), now=MOMENT, zone="Europe/Berlin")


def test_a_time_in_front_that_could_be_two_is_asked_back():
    with pytest.raises(Unclear) as asked:
        first_part("tomorrow at 3 look at the build", now=MOMENT, zone="Europe/Berlin")
    assert (asked.value.code, asked.value.values) == (
        "half_of_day",
        {"first": "03:00", "second": "15:00"},
    )


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("tomorrow 14h30 call the customer", "which_hour"),
        ("friday at 930 stand-up", "which_hour"),
        ("friday 10-12 workshop", "one_time"),
        ("friday 10:00-12:00 workshop", "one_time"),
        ("half nine tomorrow stand-up", "half_of_day"),
    ],
)
def test_what_may_be_a_time_of_day_is_not_taken_for_what_is_said(said, code):
    with pytest.raises(Unclear) as asked:
        first_part(said, now=MOMENT, zone="Europe/Berlin")
    assert asked.value.code == code


def test_a_time_behind_what_it_is_for():
    reading = last_part("check the build tomorrow at 9", now=MOMENT, zone="Europe/Berlin")
    assert (shown(reading), reading.rest) == ("2026-11-26 09:00", "check the build")


@given(st.text(max_size=60))
def test_whatever_is_said_is_read_or_asked_back(said):
    try:
        reading = when(said, now=MOMENT, zone="Europe/Berlin")
    except (NotRead, Unclear):
        return
    assert reading.schedule.next_after(MOMENT) is not None


WORDS = sorted({word for phrase, _ in PHRASES for word in phrase.split()})


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join))
def test_words_of_times_in_any_order_are_in_the_future_or_asked_back(said):
    try:
        reading = when(said, now=MOMENT, zone="Europe/Berlin")
    except (NotRead, Unclear):
        return
    following = reading.schedule.next_after(MOMENT)
    assert following is not None
    assert following > MOMENT
    assert following.tzinfo is not None
    assert ZoneInfo(reading.schedule.zone)
