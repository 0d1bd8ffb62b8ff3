"""What an agent is asked for a reminder, and which of its words are its answer."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from bot.automate.reminders.answering import (
    ANSWER_LENGTH_MAX,
    NOTHING_CHANGED,
    asked_of_agent,
    compares,
    is_unchanged,
    last_words,
    shown,
)


def reminder(**more):
    known = {
        "now": datetime(2026, 11, 27, 16, tzinfo=UTC),
        "creator": "Ann",
        "said": "every friday 16:00",
        "zone": "UTC",
        "what": "what is open?",
        "only_changed": False,
        "last_answer": "",
    }
    return SimpleNamespace(**{**known, **more})


def test_it_is_told_whose_question_it_is_and_that_it_may_only_read():
    asked = asked_of_agent(reminder())
    assert asked.startswith("It is 2026-11-27 16:00 UTC. Ann asked")
    assert "change nothing" in asked
    assert asked.endswith("\n\nwhat is open?")
    assert NOTHING_CHANGED not in asked


@pytest.mark.parametrize(
    ("only_changed", "last_answer", "expected"),
    [(True, "two", True), (True, "", False), (False, "two", False)],
)
def test_it_compares_from_the_second_time_on(only_changed, last_answer, expected):
    row = reminder(only_changed=only_changed, last_answer=last_answer)
    assert compares(row) is expected
    assert (NOTHING_CHANGED in asked_of_agent(row)) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("NOTHING_CHANGED", True),
        (" `NOTHING_CHANGED`.\n", True),
        ("**NOTHING_CHANGED**", True),
        ("NOTHING_CHANGED since friday", False),
        ("nothing changed", False),
        ("", False),
    ],
)
def test_only_the_one_word_means_that_nothing_changed(answer, expected):
    assert is_unchanged(answer) is expected


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [("text", "I look."), ("tool", ""), ("text", "Two "), ("text", "are open.")],
            "Two are open.",
        ),
        ([("text", "Two are open."), ("tool", "")], "Two are open."),
        ([("tool", ""), ("output", "2\n"), ("output", "open\n")], "2\nopen"),
        ([("text", "Two."), ("output", "log")], "Two."),
        ([("tool", "")], ""),
        ([], ""),
    ],
)
def test_its_answer_is_what_it_said_last(events, expected):
    assert last_words(events) == expected


def test_a_long_answer_is_cut():
    assert shown("x" * ANSWER_LENGTH_MAX) == "x" * ANSWER_LENGTH_MAX
    cut = shown("x" * (ANSWER_LENGTH_MAX + 1))
    assert (len(cut), cut[-1]) == (ANSWER_LENGTH_MAX, "…")
