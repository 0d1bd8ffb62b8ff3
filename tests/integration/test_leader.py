"""One leads at a time, and what it does is done as the leader or not at all."""

import asyncio

import psycopg
import pytest
from sqlalchemy import text

from bot.chores import run_clock
from bot.store.database import Database
from scheduler.leader import Leader

AN_HOUR = 3600.0
WAITS = text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND datname = current_database()"
)


@pytest.fixture
async def database(database_url):
    database = Database(database_url)
    yield database
    await database.close()


def leader(owner: str, seconds: float = AN_HOUR) -> Leader:
    return Leader(name="clock", owner=owner, seconds=seconds)


async def lead(database, one: Leader):
    async with database.begin() as tx:
        return await one.lead(tx)


async def over(database) -> None:
    """The time of the lease has passed."""
    async with database.begin() as tx:
        await tx.execute(text("UPDATE lease SET until = now() - interval '1 s'"))


async def test_one_leads_until_its_time_is_over_and_then_another(database):
    first, second = leader("a"), leader("b")
    assert await lead(database, first) == 1
    assert await lead(database, first) == 1
    assert await lead(database, second) is None
    await over(database)
    assert await lead(database, second) == 2
    assert await lead(database, first) is None


async def test_who_resigns_lets_another_lead_at_once(database):
    first, second = leader("a"), leader("b")
    await lead(database, first)
    async with database.begin() as tx:
        await second.resign(tx)
    assert await lead(database, second) is None
    async with database.begin() as tx:
        await first.resign(tx)
    assert await lead(database, second) == 2


async def test_nobody_leads_while_the_leader_s_transaction_is_open(database):
    async with database.begin() as tx:
        await leader("a").lead(tx)
        await tx.execute(text("UPDATE lease SET until = now() - interval '1 s'"))
        other = asyncio.create_task(lead(database, leader("b")))
        async with asyncio.timeout(100), database.begin() as look:
            while not await look.scalar(WAITS):
                await asyncio.sleep(0.01)
        assert not other.done()
    assert await asyncio.wait_for(other, 100) == 2


async def test_a_leader_that_is_paused_in_its_work_has_done_nothing(database):
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        await _lead_and_pause(database)
    async with database.begin() as tx:
        assert await tx.scalar(text("SELECT count(*) FROM person")) == 0


async def _lead_and_pause(database):
    async with database.begin() as tx:
        assert await leader("a", seconds=0.2).lead(tx) == 1
        await tx.execute(text("INSERT INTO person (id, name) VALUES (gen_random_uuid(), 'x')"))
        # Nothing is heard of the first one for longer than its lease lasts.
        async with asyncio.timeout(100):
            assert await lead(database, leader("b")) == 1
        await tx.execute(text("SELECT 1"))


async def test_a_process_that_stops_leaves_the_clock_to_another(database):
    stop = asyncio.Event()
    running = asyncio.create_task(run_clock(database, "a", stop))
    async with asyncio.timeout(100), database.begin() as tx:
        while (
            await tx.scalar(text("SELECT owner FROM lease WHERE until > clock_timestamp()")) != "a"
        ):
            await asyncio.sleep(0.01)
    stop.set()
    await asyncio.wait_for(running, 100)
    assert await lead(database, leader("b")) == 2
