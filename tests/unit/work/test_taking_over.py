"""What becomes of a session whose machine is on another host, and the words for it."""

import itertools
from datetime import UTC, datetime

import pytest

from bot.words.catalogue import speaking
from bot.work import machine_words
from bot.work.taking_over import Course, Elsewhere, course

SINCE = datetime(2026, 11, 29, 1, 4, tzinfo=UTC)
EVERY = [
    Elsewhere(is_given_up=up, has_machine=machine, is_unwanted=unwanted, is_readable=readable)
    for up, machine, unwanted, readable in itertools.product((False, True), repeat=4)
]


@pytest.mark.parametrize("found", EVERY)
def test_every_case_has_the_course_that_loses_least(found):
    match course(found):
        case Course.BACK:
            assert not found.is_given_up
        case Course.WAIT:
            assert found.is_given_up
            assert found.has_machine
            assert not found.is_readable
            assert not found.is_unwanted
        case Course.LET_GO:
            assert found.is_given_up
            assert found.is_readable or found.is_unwanted or not found.has_machine


def test_each_course_is_taken():
    assert {course(found) for found in EVERY} == set(Course)


def test_why_a_machine_is_lost_names_its_host_and_since_when_in_the_reader_s_zone_and_language():
    why = machine_words.given_up("b", SINCE)
    assert why == "its host b has been silent since 2026-11-29 01:04 UTC"
    with speaking("de", "Europe/Berlin"):
        told = machine_words.replaced(why, None)
    assert "weil es die alte nicht mehr gibt: ihr Host b ist seit 2026-11-29 02:04 CET" in told


def test_who_has_to_wait_for_a_host_is_told_why_what_is_kept_and_what_can_be_done():
    told = machine_words.awaited("b", SINCE, datetime(2026, 11, 29, 1, 0, tzinfo=UTC))
    assert told == (
        "This session's machine is on b, which has been silent since 2026-11-29 01:04 UTC. "
        "Its checkpoint of 2026-11-29 01:00 UTC can't be read from another host, so the prompt "
        "is kept and waits until b is back. `new: …` begins another session; if an operator "
        "destroys the machine, this one goes on from the repository alone."
    )
