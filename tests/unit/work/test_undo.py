"""Which turn is taken back, and to what; what people are told of it."""

from uuid import UUID

import pytest

from bot.store.states import TurnState
from bot.words.catalogue import in_source
from bot.work.undo import Back, PastTurn, Unknown, decide, for_agent
from bot.work.undo_words import undone

ENDED = TurnState.SUCCEEDED


def turn(
    number: int,
    saved: int | None = None,
    *,
    kind: str = "text",
    state: TurnState = ENDED,
    worked: bool = True,
    undone: bool = False,
) -> PastTurn:
    return PastTurn(
        id=UUID(int=number),
        kind=kind,
        text=f"do {number}",
        state=state,
        worked=worked,
        checkpoint_id=UUID(int=saved) if saved else None,
        undone=undone,
    )


def back(number: int, to: int | None) -> tuple[UUID, UUID | None]:
    return UUID(int=number), UUID(int=to) if to else None


@pytest.mark.parametrize(
    ("turns", "goal"),
    [
        ([turn(1, 11)], back(1, None)),
        ([turn(2, 12), turn(1, 11)], back(2, 11)),
        ([turn(2, 11), turn(1, 11)], back(2, 11)),
        ([turn(3, kind="undo"), turn(2, 12, undone=True), turn(1, 11)], back(1, None)),
        (
            [turn(4, 14), turn(3, 11, kind="undo"), turn(2, 12, undone=True), turn(1, 11)],
            back(4, 11),
        ),
        ([turn(3, 13), turn(2, worked=False), turn(1, 11)], back(3, 11)),
        ([turn(3, 13), turn(2, state=TurnState.INTERRUPTED), turn(1, 11)], back(3, 11)),
        ([turn(2, state=TurnState.INTERRUPTED), turn(1, 11)], back(2, 11)),
        ([turn(2, 12), turn(1, worked=False)], back(2, None)),
    ],
)
def test_the_last_turn_goes_back_to_what_the_one_before_it_left(turns, goal):
    decided = decide(turns)
    assert isinstance(decided, Back)
    assert (decided.turn.id, decided.checkpoint_id) == goal


@pytest.mark.parametrize("turns", [[], [turn(2, kind="undo"), turn(1, 11, undone=True)]])
def test_nothing_is_left_to_be_taken_back(turns):
    assert decide(turns) is None


def test_a_turn_after_one_that_was_not_saved_stays():
    decided = decide([turn(3, 13), turn(2), turn(1, 11)])
    assert decided == Unknown(turn=turn(3, 13))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"count": 0}, "it had changed no files."),
        ({"count": 1, "paths": ["a"]}, "1 file is as it was before (a)."),
        (
            {"count": 7, "paths": list("abcdef")},
            "7 files are as they were before (a, b, c, d, e, …",
        ),
        ({"count": 1, "paths": ["a"], "stayed": 2}, "2 new files stayed"),
    ],
)
def test_people_read_what_was_taken_back_and_what_was_not(answer, said):
    told = in_source(undone(turn(1), answer, "The branch stays."))
    assert told.startswith("The turn for “do 1” is taken back: ")
    assert said in told
    assert "The branch stays. Not taken back: files that git ignores" in told


def test_the_agent_is_told_what_was_taken_back_and_nothing_when_nothing_was():
    assert for_agent([]) == ""
    assert "your turn before this one was taken back: “fix it”" in for_agent(["fix\nit"])
    assert "your turns before this one were taken back: “b”, “a”" in for_agent(["b", "a"])
