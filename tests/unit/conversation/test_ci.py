"""What follows from the checks of a commit."""

import pytest

from adapters.forge.checking import Check, CheckState
from bot.conversation import ci
from bot.conversation.ci import Step, decide, key_of, pause_seconds
from bot.work.failed_checks import named, prompt_of

PENDING, PASSED = CheckState.PENDING, CheckState.PASSED
FAILED, STOPPED = CheckState.FAILED, CheckState.STOPPED
HOUR = 3600.0


def checks(*states: CheckState) -> list[Check]:
    return [
        Check(id=f"check/{number}", name=f"c{number}", state=state)
        for number, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "age", "rounds", "step"),
    [
        ([], 0, 0, Step.WAIT),
        ([], ci.NONE_SECONDS + 1, 0, Step.GIVE_UP),
        ([PENDING], HOUR, 0, Step.WAIT),
        ([PENDING, FAILED], HOUR, 0, Step.WAIT),
        ([PENDING, PASSED], ci.PENDING_SECONDS + 1, 0, Step.WAIT),
        ([PENDING, FAILED], ci.PENDING_SECONDS + 1, 0, Step.PROMPT),
        ([PASSED], 10, 0, Step.WAIT),
        ([PASSED, PASSED], 60, 3, Step.GREEN),
        ([FAILED, PASSED], 10, 0, Step.PROMPT),
        ([FAILED, PASSED], 60, 2, Step.PROMPT),
        ([FAILED, PASSED], 60, 3, Step.ASK),
        ([FAILED, STOPPED], 60, 0, Step.PROMPT),
        ([STOPPED, PASSED], 60, 0, Step.WAIT),
        ([STOPPED, PASSED], ci.AGAIN_SECONDS + 1, 0, Step.GIVE_UP),
    ],
)
def test_what_the_checks_amount_to(states, age, rounds, step):
    verdict = decide(checks(*states), age_seconds=age, rounds=rounds, rounds_max=3)
    assert verdict.step is step
    assert len(verdict.failed) == (states.count(FAILED) if step in {Step.PROMPT, Step.ASK} else 0)


def test_without_rounds_a_person_is_asked_at_once():
    verdict = decide(checks(FAILED), age_seconds=60, rounds=0, rounds_max=0)
    assert verdict.step is Step.ASK


def test_a_result_has_the_same_key_until_its_checks_run_again():
    def key(*found: Check, commit: str = "c" * 40) -> str:
        verdict = decide(found, age_seconds=60, rounds=0, rounds_max=3)
        return key_of("github:h/o/r", commit, verdict)

    one, two = checks(FAILED, FAILED)
    assert key(one, two) == key(two, one)
    again = Check(id="check/9", name=one.name, state=FAILED)
    assert len({key(one, two), key(again, two), key(one), key(one, two, commit="d" * 40)}) == 4
    assert len(key(one)) <= 200


def test_an_older_commit_is_looked_at_less_often():
    assert [pause_seconds(age) for age in (0, 600, HOUR, 24 * HOUR)] == [15, 60, 300, 300]


def test_the_agent_is_told_which_checks_of_which_commit_failed():
    said = prompt_of("abcdef1234567890", "ona/s-1", checks(FAILED))
    assert "commit abcdef123456, which you pushed to ona/s-1" in said
    assert named(checks(*[FAILED] * 7)) == "c0, c1, c2, c3, c4 (+2)"
