"""A run from the event that set it off to its report, ended at each of its steps.

One process does what `ona serve` does with it: it takes the event, begins the run and fixes its
targets, opens their sessions, asks their steps, settles and reports it, and sends what is to be
posted. It is killed, or cut off from the database, before each statement and before and after each
commit; then its successor, or itself, does the rest. What came of an undisturbed run comes of each.
"""

import asyncio
import itertools
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from contextlib import aclosing

import psycopg
import pytest
from sqlalchemy import text

from bot.automate.runs.beginning import Beginning
from bot.automate.runs.repositories import KnownRepositories
from bot.automate.triggers.taking import Taking
from bot.conversation.outbox import Outbox
from bot.errors import TryAgain
from bot.store.database import Database
from bot.store.states import TurnState
from bot.work.queue import Event
from tests.fakes.chat import ChatServer
from tests.fakes.mortal_database import End, Killed, MortalDatabase
from tests.integration.automate.happenings import happen, trigger
from tests.integration.automate.rig import (
    Office,
    automation,
    known_on_slack,
    project,
    reporting,
)
from tests.integration.conftest import Town

pytestmark = [pytest.mark.slow, pytest.mark.long]

STEPS_MIN = 100
"""Fewer would mean that most of a run is not seen any more."""
ROUNDS = 5
"""Of the process and of the worker: two steps of the targets, their end, that of the run, the
last wording of its posts."""
KILLED_AT = (4, 9, 17, 30, 45)
"""Steps of one process after the other."""
STEPS = [
    {"run": "echo one"},
    {"post": {"text": "Half of it is done."}},
    {"prompt": "What is left?"},
    {"report": {}},
]


class Serving:
    """What a process of ours does about runs."""

    def __init__(self, database: Database, chat: Office) -> None:
        self._taking = Taking(database, Beginning(database, KnownRepositories({})))
        self._running = reporting(database, chat)
        # One call at a time: none is under way any more when the process has ended.
        self._outbox = Outbox(database, {"slack": chat}, sender="s", slots=1)

    async def once(self) -> None:
        await self._taking.once()
        await self._running.once()
        await self._outbox.once()


@pytest.fixture
async def server():
    async with ChatServer() as server:
        yield server


@pytest.fixture
async def chat(server):
    chat = Office(server.url)
    yield chat
    await chat.close()


@pytest.fixture
async def fleet(town: Town) -> Town:
    """A town with two projects to work on, in which Ann is known on Slack."""
    await known_on_slack(town)
    for name in ("one", "two"):
        await project(town, name)
    return town


async def pushed(town: Town, number: int) -> None:
    """Something happens that sets off an automation of its own."""
    automation_id = await automation(
        town,
        name=f"number-{number}",
        steps=STEPS,
        context={"projects": ["one", "two"]},
        report="always",
        report_to=["slack:#general"],
        coalesce_seconds=0,
    )
    await happen(town, await trigger(town, automation_id), "pushed", "main")


async def came_of_it(town: Town, server: ChatServer) -> Counter[str]:
    """What there is by now of all runs, in the database and in the channel."""
    rows = await town.rows(
        """
        SELECT 'event ' || state, count(*) FROM trigger_event GROUP BY state
        UNION ALL SELECT 'run over ' || (settled_at IS NOT NULL), count(*) FROM run GROUP BY 1
        UNION ALL SELECT 'target ' || state || ' ' || step || ' ' || report, count(*)
                    FROM run_target GROUP BY 1
        UNION ALL SELECT 'sessions', count(*) FROM session
        UNION ALL SELECT 'threads', count(*) FROM thread
        UNION ALL SELECT 'prompt ' || kind || ' ' || state, count(*) FROM prompt GROUP BY 1
        UNION ALL SELECT 'turn ' || state, count(*) FROM turn GROUP BY 1
        UNION ALL SELECT 'notices', count(*) FROM automation_notice
        UNION ALL SELECT 'reply ' || state, count(*) FROM reply GROUP BY 1
        """
    )
    posts = Counter(re.sub(r"number.+?\)", "it", one.text) for one in server.posts)
    return Counter({name: count for name, count in rows if count}) + posts


async def later(town: Town) -> None:
    """What waits to be tried again is tried, and nobody holds anything any more."""
    for statement in (
        "UPDATE trigger_event SET act_at = now(), held_until = NULL WHERE state = 'waiting'",
        "UPDATE run SET look_at = now() WHERE settled_at IS NULL",
        "UPDATE reply SET due_at = now(), sender_until = sender_until - interval '1 h'"
        " WHERE state IN ('pending', 'sending')",
    ):
        await town.database.run(text(statement))


async def work(town: Town) -> None:
    """Let a worker run what was asked."""
    queue = town.queue("w")
    while (lease := await queue.claim()) is not None:
        turn = await queue.begin_turn(lease, None)
        if turn is None:
            await queue.release(lease)
            continue
        said = Event(kind="text", body={"text": "Nothing is left to do."})
        await queue.record(lease, turn, [said], batch=1)
        await queue.finish(lease, turn, TurnState.SUCCEEDED, {"summary": "done"})


async def goes_on(town: Town, process: Serving) -> None:
    """Let a run come to its end."""
    for _ in range(ROUNDS):
        await later(town)
        await process.once()
        await work(town)
    await later(town)
    await process.once()


async def disturbed(town: Town, chat: Office, *, at: int, end: End) -> bool:
    """One run whose process ends at a step; whether it had so many."""
    await pushed(town, at)
    async with aclosing(MortalDatabase(town.database.url, at=at, end=end)) as database:
        process = Serving(database, chat)
        try:
            await goes_on(town, process)
        except (Killed, psycopg.OperationalError, TryAgain):
            assert database.ended
        database.spare()
        await goes_on(town, Serving(town.database, chat) if end is End.KILLED else process)
    return database.ended


@pytest.mark.timeout(900)
@pytest.mark.parametrize("end", End)
async def test_what_comes_of_a_run_comes_of_it_once_wherever_its_process_ends(
    fleet, server, chat, end
):
    await disturbed(fleet, chat, at=0, end=end)
    undisturbed = await came_of_it(fleet, server)
    assert undisturbed["event taken"] == undisturbed["run over true"] == 1
    assert undisturbed["target done 4 Nothing is left to do."] == 2
    assert undisturbed["prompt command done"] == undisturbed["prompt text done"] == 2
    assert undisturbed["Half of it is done."] == 2
    assert undisturbed["reply sent"] == len(server.posts) == 4
    for at in itertools.count(1):
        before = await came_of_it(fleet, server)
        ended = await disturbed(fleet, chat, at=at, end=end)
        assert await came_of_it(fleet, server) - before == undisturbed, f"ended at step {at}"
        if not ended:
            break
    assert at > STEPS_MIN


async def started(town: Town, server: ChatServer, at: int) -> Process:
    """A real process that kills itself at a step."""
    program = (sys.executable, "-m", "tests.integration.automate.run_process")
    arguments = (town.database.url, server.url, str(at))
    return await asyncio.create_subprocess_exec(*program, *arguments, stdout=DEVNULL)


async def test_a_run_survives_real_processes_that_are_killed_one_after_the_other(
    fleet, server, chat
):
    await disturbed(fleet, chat, at=0, end=End.KILLED)
    undisturbed = await came_of_it(fleet, server)
    await pushed(fleet, 1)
    killed = 0
    for at in (*KILLED_AT, 0):
        process = await started(fleet, server, at)
        try:
            async with asyncio.timeout(60):
                while process.returncode is None and not await over(fleet):
                    await later(fleet)
                    await work(fleet)
                    await asyncio.sleep(0.05)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        killed += at != 0 and process.returncode == -signal.SIGKILL
    assert killed == len(KILLED_AT), "some came to the end of the run"
    assert await came_of_it(fleet, server) - undisturbed == undisturbed


async def over(town: Town) -> bool:
    """Whether every run is, and all of it is posted."""
    return not await town.value(
        """
        SELECT (SELECT count(*) FROM trigger_event WHERE state = 'waiting')
             + (SELECT count(*) FROM run WHERE settled_at IS NULL)
             + (SELECT count(*) FROM reply WHERE state IN ('pending', 'sending'))
        """
    )
