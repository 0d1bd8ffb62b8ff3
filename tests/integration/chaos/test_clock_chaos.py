"""Reminders while those who lead, who act on firings and who work are killed, frozen and cut off.

Real processes and a real PostgreSQL. Every due moment is written down once, its words are posted
once, what an agent is asked is one prompt, and each prompt has one turn. The seed is printed;
ONA_TEST_SEED repeats one, ONA_TEST_FIRINGS sets for how many due moments it goes on.
"""

import asyncio
import os
import random

import pytest
from sqlalchemy import text

from tests.fakes.guest import hosted_guest
from tests.integration.chaos.test_chaos import LEASE_SECONDS, Workers
from tests.integration.conftest import Town
from tests.integration.test_reminders import set_one

pytestmark = [pytest.mark.slow, pytest.mark.long]

FIRINGS = int(os.environ.get("ONA_TEST_FIRINGS", "40"))
SEED = int(os.environ.get("ONA_TEST_SEED", random.randrange(10**6)))
REMINDERS = 8
RETRY_SECONDS = 1.0
"""Instead of the half minute after which another process tries again."""
CUT = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
)
SOONER = text(
    """
    UPDATE firing SET act_at = now() + make_interval(secs => :seconds)
     WHERE state = 'due' AND act_at > now() + make_interval(secs => :seconds)
    """
)
DUE = text(
    """
    UPDATE schedule SET due_at = now() + make_interval(secs => :seconds),
                        fire_at = now() + make_interval(secs => :seconds)
     WHERE id = (SELECT schedule_id FROM reminder WHERE short = :short)
       AND state = 'active' AND due_at > now() + interval '1 minute'
    RETURNING due_at
    """
)


async def blow(clocks: Workers, workers: Workers, town: Town, dice: random.Random) -> None:
    """One thing that happens to one of them."""
    who = dice.choice([clocks, clocks, workers])
    index = dice.randrange(len(who.processes))
    match dice.choice(["kill", "kill", "freeze", "cut off"]):
        case "kill":
            who.kill(index)
        case "freeze":
            await who.freeze(index, LEASE_SECONDS * 1.5)
        case _:
            await town.database.close()
            await town.database.run(CUT)


async def torment(town: Town, clocks: Workers, workers: Workers, dice: random.Random) -> set:
    """Make reminders due, and strike, until all of it is over; the due moments."""
    shorts = [
        await set_one(town, f"remind me every day at 9 number {n}?", act=("yes", "answer")[n % 2])
        for n in range(REMINDERS)
    ]
    due: set = set()
    while len(due) < FIRINGS or await open_ones(town):
        if len(due) < FIRINGS:
            seconds = dice.uniform(0, 1)
            short = dice.choice(shorts)
            rows = await town.database.run(DUE, {"short": short, "seconds": seconds})
            due |= {(short, row.due_at) for row in rows}
        await asyncio.sleep(dice.uniform(0.1, 0.8))
        if dice.random() < 0.5:
            await blow(clocks, workers, town, dice)
        await town.database.run(SOONER, {"seconds": RETRY_SECONDS})
    return due


async def open_ones(town: Town) -> int:
    """What is still to be fired, acted on or run."""
    return await town.value(
        """
        SELECT (SELECT count(*) FROM schedule WHERE due_at < now() + interval '1 minute')
             + (SELECT count(*) FROM firing WHERE state = 'due')
             + (SELECT count(*) FROM prompt WHERE state IN ('queued', 'running'))
        """
    )


@pytest.mark.timeout(600)
async def test_a_due_moment_is_acted_on_once_whatever_happens_to_whom(town, database_url, tmp_path):
    print(f"ONA_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    with hosted_guest() as guest:
        known = [town, database_url, guest.inside.job_server]
        log = tmp_path / "log"
        clocks = Workers("tests.fakes.firing_process", *known, count=2, log=log)
        workers = Workers("tests.fakes.work_process", *known, count=1, log=log)
        try:
            async with asyncio.timeout(max(500, 10 * FIRINGS)):
                due = await torment(town, clocks, workers, dice)
        finally:
            clocks.end()
            workers.end()
    await check(town, due)


async def check(town: Town, due: set) -> None:
    fired = await town.rows(
        "SELECT reminder.short, firing.due_at, firing.state FROM firing"
        " JOIN reminder ON reminder.schedule_id = firing.schedule_id"
    )
    assert sorted((short, at) for short, at, _ in fired) == sorted(due)
    # A shell makes no sense of what an agent is asked: that is said instead of an answer.
    assert {state for *_, state in fired} == {"done", "failed"}
    posts = await town.rows(
        "SELECT key, count(*) FROM reply WHERE key ~ '^(firing|not):' GROUP BY 1"
    )
    assert {count for _, count in posts} == {1}
    asked = await town.rows(
        "SELECT delivery_key, count(DISTINCT prompt_id) FROM delivery"
        " WHERE delivery_key LIKE 'clock/%' GROUP BY 1"
    )
    answered = await town.value(
        "SELECT count(*) FROM firing JOIN reminder ON reminder.schedule_id = firing.schedule_id"
        " WHERE is_prompt"
    )
    assert (len(asked), {count for _, count in asked}) == (answered, {1})
    turns = await town.rows("SELECT prompt_id, count(*) FROM turn GROUP BY prompt_id")
    assert {count for _, count in turns} == {1}
