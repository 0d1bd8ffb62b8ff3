"""Whether a run is worth a post."""

import pytest

from bot.automate.definition import Definition
from bot.automate.runs.actionable import (
    ASKED,
    NOTHING,
    Found,
    is_asked,
    is_nothing,
    needs_somebody,
    reporting,
    reports,
    shows_progress,
    speaks,
)
from bot.automate.runs.tally import Counts, Tally, status_of


def of(*, is_stopped: bool = False, **counts: int) -> Tally:
    found = Counts(**counts)
    status = status_of(found, is_stopped=is_stopped)
    return Tally(**counts, cost_micro=0, eta_seconds=None, status=status)


@pytest.mark.parametrize(
    ("tally", "found", "is_said"),
    [
        (of(done=3), Found(), False),
        (of(done=3, skipped=2), Found(), False),
        (of(running=3, done=1), Found(), False),
        (of(done=3), Found(reports=1), True),
        (of(done=3), Found(pull_requests=1), True),
        (of(running=1), Found(questions=1), True),
        (of(done=3, failed=1), Found(), True),
        (of(skipped=3), Found(), True),
        (of(stopped=1, is_stopped=True), Found(), True),
    ],
)
def test_silent_unless_there_is_something_to_act_on(tally, found, is_said):
    assert speaks("actionable", tally, found, by_hand=False) == is_said
    assert speaks("always", tally, found, by_hand=False)
    assert speaks("actionable", tally, found, by_hand=True)


@pytest.mark.parametrize(
    ("said", "nothing"),
    [
        ("", True),
        (" \n", True),
        (NOTHING, True),
        ("Nothing to report.", True),
        ("**nothing  to\nreport**", True),
        ("There is nothing to report but this", False),
        ("Nothing to report, except that CI is red", False),
        ("ok", False),
    ],
)
def test_an_agent_can_say_that_it_has_nothing_to_say(said, nothing):
    assert is_nothing(said) == nothing
    assert reporting([said]) == (0 if nothing else 1)


PROMPT, SHELL, REPORT = {"prompt": "look"}, {"run": "make"}, {"report": {}}
OPENS = {"pull_request": {}}


def defined(*steps: dict, report: str = "actionable") -> Definition:
    return Definition.model_validate({"name": "x", "steps": steps, "report": report})


@pytest.mark.parametrize(
    ("steps", "is_for_people"),
    [
        ((PROMPT,), True),
        ((SHELL, PROMPT, OPENS), True),
        ((SHELL,), False),
        ((PROMPT, SHELL), False),
        ((SHELL, REPORT), True),
    ],
)
def test_what_an_agent_says_at_last_is_for_people_and_what_a_command_writes_is_not(
    steps, is_for_people
):
    assert reports(defined(*steps)) == is_for_people


def test_the_agent_of_the_last_step_is_told_that_it_may_have_nothing_to_say():
    definition = defined(PROMPT, SHELL, PROMPT, OPENS)
    assert [is_asked(definition, place) for place in range(4)] == [False, False, True, False]
    assert not is_asked(defined(PROMPT, report="always"), 0)
    assert is_nothing(ASKED.rpartition(": ")[2])


def test_one_target_needs_no_progress():
    assert not shows_progress(of(running=1))
    assert shows_progress(of(running=1, waiting=1))


@pytest.mark.parametrize(
    ("tally", "found", "needs"),
    [
        (of(done=2), Found(pull_requests=2), False),
        (of(done=2, failed=1), Found(), True),
        (of(failed=1), Found(), True),
        (of(done=1, stopped=1, is_stopped=True), Found(), True),
        (of(running=1), Found(questions=1), True),
    ],
)
def test_who_began_it_is_notified_when_it_needs_somebody(tally, found, needs):
    assert needs_somebody(tally, found) == needs
