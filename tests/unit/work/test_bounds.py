"""What is done at a bound: a person is asked, once, or the turn ends."""

import json
from dataclasses import replace

import pytest

from bot.govern.budget_refusals import Refusal, extension
from bot.govern.spending import Budget
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.words.amounts import MICRO
from bot.words.catalogue import localized, speaking
from bot.work import bounds
from bot.work.asked import Question, Settled
from bot.work.bounds import CIRCLE, SessionLimits, Used
from bot.work.circles import Circle
from bot.work.queue import Event, columns
from bot.work.watching import Cancelled

OWNER = new_id()
SESSION = Budget(kind="session", limit=5 * MICRO, spent=4 * MICRO, reserved=0)
REFUSAL = Refusal(budget=SESSION, worst=2 * MICRO, more=5 * MICRO)
AGAIN = Circle(what="npm test", times=8)


def settled(key, answer="", *, open=False, by=None):
    return Settled(key=key, open=open, answer=answer, by=by)


def test_without_a_refusal_nothing_is_due():
    assert bounds.of_money(None, [], {OWNER}) is None


def test_a_budget_that_nobody_can_extend_asks_nobody():
    person = replace(REFUSAL, budget=replace(SESSION, kind="person"), more=0)
    assert bounds.of_money(person, [], {OWNER}) is None


@pytest.mark.parametrize("asked", [[], [settled(REFUSAL.key, open=True)]])
def test_the_owner_is_asked_for_more(asked):
    question = bounds.of_money(REFUSAL, asked, {OWNER})
    assert isinstance(question, Question)
    assert question.text == (
        "Used 4.00 of 5.00 USD, and the next request to the model may cost up to 2.00."
        " Continue with 5.00 more?"
    )
    assert question.choices == ("Continue with 5.00 more", "Stop")
    assert (question.permitted, question.closed) == ({OWNER}, True)
    assert question.extends_micro == 5 * MICRO


@pytest.mark.parametrize(("answer", "by"), [("Stop", "Ann"), ("", None)])
def test_whoever_says_stop_or_nothing_ends_the_turn(answer, by):
    end = bounds.of_money(REFUSAL, [settled(REFUSAL.key, answer, by=by)], {OWNER})
    assert isinstance(end, Cancelled)
    assert (end.state, end.by) == (TurnState.BUDGET, by)
    assert "what was done is kept" in end.summary


def test_an_extended_budget_that_is_used_up_is_asked_for_again():
    before = settled(REFUSAL.key, "Continue with 5.00 more", by="Ann")
    later = replace(REFUSAL, budget=replace(SESSION, limit=10 * MICRO, spent=9 * MICRO))
    assert isinstance(bounds.of_money(later, [before], {OWNER}), Question)


@pytest.mark.parametrize(
    ("spent", "worst", "more"),
    [(5, 1, 5), (4, 2, 5), (5, 5, 5), (5, 6, 10), (0, 23, 20), (5, 0, 5)],
)
def test_the_budget_grows_by_whole_steps_and_bears_the_request_then(spent, worst, more):
    budget = replace(SESSION, spent=spent * MICRO)
    assert extension(5 * MICRO, budget, worst * MICRO) == more * MICRO
    assert budget.spent + worst * MICRO <= budget.limit + more * MICRO


def test_a_circle_is_asked_about_once_and_then_ends_the_turn():
    asked = bounds.of_circle(AGAIN, [])
    assert isinstance(asked, Question)
    assert "the same 8 times in a row with the same result: npm test" in asked.text
    assert asked.choices == ("Continue", "Stop")
    assert isinstance(bounds.of_circle(AGAIN, [settled(CIRCLE, open=True)]), Question)
    end = bounds.of_circle(AGAIN, [settled(CIRCLE, "Continue", by="Ann")])
    assert isinstance(end, Cancelled)
    assert end.state is TurnState.FAILED
    assert "once more: npm test" in end.summary
    assert bounds.of_circle(None, []) is None


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ([], None),
        ([settled(CIRCLE, open=True)], None),
        ([settled(CIRCLE, "Continue", by="Ann")], None),
        ([settled(CIRCLE, "Stop", by="Ann")], TurnState.STOPPED),
        ([settled(CIRCLE)], TurnState.FAILED),
    ],
)
def test_what_became_of_the_question_about_a_circle(asked, state):
    end = bounds.of_answer(asked)
    assert (end and end.state) == state


@pytest.mark.parametrize(
    ("used", "words"),
    [
        (Used(turns=2, seconds=59), None),
        (Used(turns=3, seconds=0), "all of its 3 turns"),
        (Used(turns=0, seconds=60), "run for 1 min 0 s"),
    ],
)
def test_a_session_has_so_many_turns_and_so_much_time(used, words):
    over = bounds.over_session(used, SessionLimits(turns_max=3, seconds_max=60))
    assert over is None if words is None else words in str(over)


def test_an_event_keeps_a_question_and_its_choices_for_every_language():
    question = bounds.of_money(REFUSAL, [], {OWNER})
    assert isinstance(question, Question)
    asked = {"text": question.text, "choices": list(question.choices), "closed": True}
    ((stored,),) = [columns([Event(kind="question", body=asked)])["bodies"]]
    body = json.loads(stored)
    assert body["choices"] == ["Continue with 5.00 more", "Stop"]
    with speaking("de"):
        told = localized(body)
    assert told["choices"] == ["Mit 5.00 mehr weitermachen", "Stopp"]
    assert told["text"].startswith("4.00 von 5.00 USD sind verbraucht")
