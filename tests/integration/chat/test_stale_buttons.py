"""A button means what it stood below, whatever happened since: else it does nothing."""

import pytest

from bot.conversation.replies import Replies
from bot.store.states import TurnState
from bot.work import questions
from bot.work.asked import Question
from tests.integration.chat.conftest import SURFACE

RAN = "SELECT count(*) FROM prompt WHERE state IN ('queued', 'running')"
UNDOS = "SELECT count(*) FROM prompt WHERE kind = 'undo'"
OPEN = "SELECT text, state FROM question ORDER BY text"


async def ends(town, state: TurnState) -> None:
    """The turn of what waits runs to its end."""
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    outcome = {"outcome": state.value, "seconds": 1.0}
    await queue.finish(lease, turn, state, outcome)


async def buttons(town, room, label: str) -> list[str]:
    """What the buttons with that label say, the oldest post first."""
    await Replies(town.database, {SURFACE: room.port}).once()
    rows = await town.rows(
        "SELECT one ->> 'says' FROM reply, jsonb_array_elements(buttons) AS one"
        " WHERE one ->> 'label' = :label ORDER BY created_at",
        label=label,
    )
    return [says for (says,) in rows]


async def press(room, says: str, *, by: str = "ann"):
    return await room.say(says, by=by, pressed=True, post="9", ref="")


async def ask(town, key: str, *, closed: bool, choices=("Yes", "No"), session=None):
    """The turn of what waits asks something, and its session waits."""
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None) if session is None else session
    asked = Question(key=key, text=key, choices=choices, permitted=(), closed=closed)
    async with town.database.begin() as tx:
        assert await questions.put(tx, lease, turn.id, asked, seconds=600)
    return turn


async def test_retry_below_an_older_failure_asks_that_again_and_not_the_last(town, room):
    await room.say("!one")
    await ends(town, TurnState.FAILED)
    (says,) = await buttons(town, room, "Retry")
    await room.say("!two")
    await ends(town, TurnState.SUCCEEDED)
    await press(room, says)
    asked = "SELECT text FROM delivery WHERE prompt_id IS NOT NULL ORDER BY received_at"
    assert [text for (text,) in await town.rows(asked)] == ["one", "two", "one"]
    await press(room, says, by="bo")
    assert await town.value(RAN) == 1
    assert "asked again already" in room.whispers[-1][1]
    await ends(town, TurnState.SUCCEEDED)
    await press(room, says)
    assert await town.value(RAN) == 0


async def test_undo_below_an_older_failure_takes_nothing_back_that_came_after_it(town, room):
    await room.say("!one")
    await ends(town, TurnState.FAILED)
    (says,) = await buttons(town, room, "Undo")
    await room.say("!two")
    await press(room, says)
    assert await town.value(UNDOS) == 1, "it still is about the last turn"
    await room.say("clear")
    await room.say("!three")
    await ends(town, TurnState.SUCCEEDED)
    await press(room, says)
    assert await town.value(UNDOS) == 1
    assert "not the last turn" in room.whispers[-1][1]


@pytest.mark.parametrize("closed", [True, False])
async def test_a_choice_of_a_question_that_is_over_answers_no_other_and_is_no_prompt(
    town, room, closed
):
    await room.say("!one")
    await ask(town, "first?", closed=closed)
    (yes,), (no,) = await buttons(town, room, "Yes"), await buttons(town, room, "No")
    await press(room, no)
    assert await town.rows("SELECT answer FROM question") == [("No",)]
    await press(room, yes, by="bo")
    assert await town.rows("SELECT answer FROM question") == [("No",)]
    assert "not open any more" in room.whispers[-1][1]
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await town.value("SELECT id FROM turn")
    more = Question(key="more?", text="more?", choices=("Spend", "Stop"), closed=True)
    async with town.database.begin() as tx:
        assert await questions.put(tx, lease, turn, more, seconds=600)
    await press(room, yes)
    assert await town.rows(OPEN) == [("first?", "answered"), ("more?", "open")]
    assert await town.value("SELECT count(*) FROM prompt") == 1


async def test_of_two_open_questions_the_button_answers_the_one_above_it(town, room):
    await room.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    async with town.database.begin() as tx:
        for key in ("first?", "second?"):
            asked = Question(key=key, text=key, choices=(f"{key} yes", "No"), closed=True)
            event = await questions.add(tx, lease.session_id, turn.id, asked, seconds=600)
            await questions.append_held(tx, lease.key, [event], turn_id=turn.id)
    (second,) = await buttons(town, room, "second? yes")
    await press(room, second)
    assert await town.rows(OPEN) == [("first?", "open"), ("second?", "answered")]
