"""In its quiet hours a reminder posts nothing: no answer, no question, and not what went wrong."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.automate import leaving
from bot.conversation.due import Due
from bot.govern import people
from bot.store.states import TurnState
from tests.integration.test_reminders import answer as answered
from tests.integration.test_reminders import ask_now, bodies, fire, firings, set_one


async def begin_quiet(town, short: str) -> None:
    """Its quiet hours have begun, and end in two hours."""
    now = await town.value("SELECT clock_timestamp()")
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    told = await town.say(f"reminders edit {short} quiet {hours}")
    assert told.text.startswith("Nothing is posted")


async def end_quiet(town) -> None:
    await town.database.run(text("UPDATE reminder SET quiet = ''"))
    await town.database.run(text("UPDATE firing SET act_at = now()"))


@pytest.mark.parametrize(
    ("said", "state", "told"),
    [
        ("Two are open.", TurnState.SUCCEEDED, "Two are open."),
        ("", TurnState.FAILED, "There is no answer to the reminder"),
    ],
)
async def test_what_its_agent_says_after_they_began_waits_for_their_end(town, said, state, told):
    short = await set_one(town, "remind me every day at 9 what is open?", act="answer")
    await ask_now(town)
    await begin_quiet(town, short)
    await answered(town, said, state, "it broke")
    before = await bodies(town)
    await fire(town)
    assert await bodies(town) == before
    left = "SELECT state, act_at > now() + interval '1 hour' FROM firing"
    assert await town.rows(left) == [("due", True)]
    await end_quiet(town)
    await fire(town)
    (posted,) = (await bodies(town))[len(before) :]
    assert told in posted


@pytest.mark.parametrize("act", ["yes", "answer"])
async def test_that_it_is_paused_is_told_when_they_are_over(town, act):
    short = await set_one(town, "remind me every day at 9 to stretch", act=act)
    await begin_quiet(town, short)
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    before = await bodies(town)
    await leaving.pause(town.database, Due(town.database, town.inbox))
    await ask_now(town)
    assert await bodies(town) == before
    assert await firings(town) == [("due", "quiet")]
    await end_quiet(town)
    await fire(town)
    assert "whoever set it is deactivated here" in (await bodies(town))[-1]
    assert await firings(town) == [("skipped", "creator")]


async def test_what_is_put_off_into_them_comes_when_they_are_over(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await begin_quiet(town, short)
    hours = await town.value("SELECT quiet FROM reminder")
    told = await town.say(f"reminders snooze {short} in 10 minutes")
    assert f"{hours.partition('-')[2]}" in told.text
    assert await town.rows("SELECT quiet FROM reminder") == [(hours,), (hours,)]
    await ask_now(town)
    assert await firings(town) == [("due", "quiet"), ("due", "quiet")]


async def test_that_its_time_can_t_be_read_any_more_is_told_when_they_are_over(town):
    short = await set_one(town, "remind me every day at 9 to stretch")
    await begin_quiet(town, short)
    before = await bodies(town)
    await town.database.run(
        text("UPDATE schedule SET rule = '{}', due_at = now(), fire_at = now()")
    )
    await fire(town)
    assert await bodies(town) == before
    assert await firings(town) == [("due", "unreadable")]
    await end_quiet(town)
    await fire(town)
    assert "Say its time anew" in (await bodies(town))[-1]
    assert await firings(town) == [("failed", "time")]
