"""A firing from its due moment to what comes of it, ended at each of its steps.

One process does what `ona serve` does with it: it leads, writes the firing down, and acts on it. It
is killed, or cut off from the database, before each statement and before and after each commit;
then its successor, or itself, does the rest. What came of an undisturbed firing comes of each.
"""

import itertools
from collections import Counter
from contextlib import aclosing

import psycopg
import pytest
from sqlalchemy import text

from bot.automate.reminders.firings import Firings
from bot.conversation.due import Due
from bot.conversation.inbox import Inbox
from bot.errors import TryAgain
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.work.queue import Event
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader
from tests.fakes.mortal_database import End, Killed, MortalDatabase
from tests.integration.conftest import Town
from tests.integration.test_reminders import due_now, set_one

STEPS_MIN = {"yes": 10, "answer": 25}
"""Fewer would mean that most of a firing is not seen any more."""
ASKED = "what is still open?"


class Serving:
    """What a process of ours does about what is due."""

    def __init__(self, database: Database) -> None:
        leader = Leader(name="schedules", owner=str(new_id()), seconds=LEASE_SECONDS)
        self._clock = Clock(database.begin, leader, new_id=new_id)
        inbox = Inbox(database, prompt_bytes_max=100_000)
        self._firings = Firings(database, Due(database, inbox))

    async def once(self) -> None:
        await self._clock.tick()
        await self._firings.once()


async def came_of_it(town: Town) -> Counter[str]:
    """What there is by now of all firings: their states, what was posted, what was asked."""
    rows = await town.rows(
        """
        SELECT 'firing ' || state, count(*) FROM firing GROUP BY state
        UNION ALL SELECT 'replies', count(*) FROM reply
        UNION ALL SELECT 'prompts', count(*) FROM prompt
        UNION ALL SELECT 'asked', count(*) FROM delivery
                   WHERE delivery_key LIKE 'clock/%' AND prompt_id IS NOT NULL
        """
    )
    return Counter({name: count for name, count in rows if count})


async def later(town: Town) -> None:
    """The lease of a leader that is gone is over, and so is the wait before another try."""
    await town.database.run(text("UPDATE lease SET until = now() - interval '1 s'"))
    await town.database.run(text("UPDATE firing SET act_at = now() WHERE state = 'due'"))


async def run_prompts(town: Town) -> None:
    """Let an agent answer what was asked."""
    queue = town.queue(str(new_id()))
    while (lease := await queue.claim()) is not None:
        turn = await queue.begin_turn(lease, None)
        if turn is None:
            await queue.release(lease)
            continue
        assert turn.text.count(ASKED) <= 1, "it was asked twice"
        said = Event(kind="text", body={"text": "Two are open."})
        await queue.record(lease, turn, [said], batch=1)
        await queue.finish(lease, turn, TurnState.SUCCEEDED, {"summary": "done"})


async def disturbed(town: Town, *, at: int, end: End) -> bool:
    """One firing whose process ends at a step; whether it had so many."""
    await later(town)
    async with aclosing(MortalDatabase(town.database.url, at=at, end=end)) as database:
        process = Serving(database)
        try:
            await process.once()
            await run_prompts(town)
            await later(town)
            await process.once()
        except (Killed, psycopg.OperationalError, TryAgain):
            assert database.ended
        database.spare()
        await later(town)
        await (Serving(town.database) if end is End.KILLED else process).once()
    await run_prompts(town)
    await later(town)
    await Serving(town.database).once()
    return database.ended


@pytest.mark.slow
@pytest.mark.parametrize("end", End)
@pytest.mark.parametrize("act", ["yes", pytest.param("answer", marks=pytest.mark.long)])
async def test_what_comes_of_a_firing_comes_of_it_once_wherever_its_process_ends(town, act, end):
    await set_one(town, f"remind me every day at 9 {ASKED}", act=act)
    before = await came_of_it(town)
    await due_now(town)
    await disturbed(town, at=0, end=end)
    await run_prompts(town)
    undisturbed = await came_of_it(town) - before
    assert undisturbed["firing done"] == 1
    assert undisturbed["replies"] + undisturbed["asked"] >= 1
    for at in itertools.count(1):
        before = await came_of_it(town)
        await due_now(town)
        ended = await disturbed(town, at=at, end=end)
        await run_prompts(town)
        assert await came_of_it(town) - before == undisturbed, f"ended at step {at}"
        if not ended:
            break
    assert at > STEPS_MIN[act]
