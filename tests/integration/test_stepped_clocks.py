"""Clocks that are stepped back and forth: this host's moves nothing, the database's fires nothing
twice and forgets nothing.
"""

import asyncio
import random
from datetime import datetime, timedelta

import apscheduler.schedulers.base
import pytest
from sqlalchemy import text

import scheduler.clock
from bot.store.database import Database
from scheduler import due_rows
from scheduler.clock import POLL_SECONDS
from scheduler.rules import Cron, Days, Every, Once
from scheduler.schedule import Schedule
from tests.integration.test_clock import START, Time, clock, over, put

STEPS = 80
HOUR = 3600


@pytest.fixture
async def database(database_url):
    database = Database(database_url)
    yield database
    await database.close()


class HostClock:
    """What this host's clock shows; it may be stepped."""

    ahead = timedelta()

    @classmethod
    def step(cls, **by: float) -> None:
        cls.ahead += timedelta(**by)


class Stepped(datetime):
    """`datetime` by that clock."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + HostClock.ahead


@pytest.fixture
def host_clock(monkeypatch):
    """The clock of this host, as the timer reads it."""
    monkeypatch.setattr(HostClock, "ahead", timedelta())
    monkeypatch.setattr(scheduler.clock, "datetime", Stepped)
    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Stepped)
    return HostClock


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
async def test_a_step_of_the_host_s_clock_moves_no_firing(database, host_clock, hours):
    stop = asyncio.Event()
    one = clock(database)
    running = asyncio.create_task(one.run(stop))
    now = (await database.run(text("SELECT clock_timestamp() AS now"))).one().now
    first, second = now + timedelta(seconds=0.5), now + timedelta(seconds=1.5)
    for due in (first, second, now + timedelta(hours=2)):
        await put(database, Once(at=due), due)
    one.look.set()
    fired = text("SELECT due_at, fired_at - due_at AS late FROM firing ORDER BY due_at")
    async with asyncio.timeout(60):
        while not (await database.run(fired)).all():
            await asyncio.sleep(0.02)
        host_clock.step(hours=hours)
        while len((await database.run(fired)).all()) < 2:
            await asyncio.sleep(0.02)
    # One more look, by the stepped clock: what is due in two hours is not due now.
    await asyncio.sleep(POLL_SECONDS)
    stop.set()
    await asyncio.wait_for(running, 60)
    rows = (await database.run(fired)).all()
    assert [row.due_at for row in rows] == [first, second]
    assert all(timedelta() <= row.late for row in rows), "nothing is early"


@pytest.mark.parametrize("seed", range(4))
async def test_a_database_s_clock_that_jumps_fires_each_moment_once_and_none_is_lost(
    database, seed
):
    """The leader is lost now and then as well. What was passed over at once is told as missed."""
    dice = random.Random(seed)
    now, latest = Time(), START
    rules = [
        Cron(fields="0 * * * *"),
        Cron(fields="30 2 * * *"),
        Every(seconds=1800, first=START + timedelta(seconds=7)),
        Days(days=1, first=datetime(2027, 3, 27, 9)),
    ]
    schedules = {}
    for rule in rules:
        schedule = Schedule(rule=rule, zone="Europe/Berlin")
        due = schedule.next_after(START)
        schedules[await put(database, rule, due, zone="Europe/Berlin")] = schedule
    one = clock(database, now)
    for step in range(STEPS):
        now.pass_(seconds=dice.choice([60, 600, HOUR, 5 * HOUR, -60, -HOUR, -20 * HOUR]))
        latest = max(latest, now.at)
        await one.tick()
        if dice.random() < 0.2:
            await over(database)
            one = clock(database, now, owner=f"leader-{step}")
    now.at = latest
    await one.tick()
    for key, schedule in schedules.items():
        due = []
        at = schedule.next_after(START)
        while at is not None and at <= latest:
            due.append(at)
            at = schedule.next_after(at)
        rows = await database.run(
            text("SELECT due_at, missed FROM firing WHERE schedule_id = :id ORDER BY due_at"),
            {"id": key},
        )
        fired = [(row.due_at, row.missed) for row in rows]
        assert {at for at, _ in fired} <= set(due)
        told = sum(1 + missed for _, missed in fired)
        assert told == len(due), schedule.rule


async def test_what_is_due_is_asked_of_the_database(database, host_clock):
    host_clock.step(days=400)
    async with database.begin() as tx:
        shown = await due_rows.now(tx)
    assert abs(shown - datetime.now(shown.tzinfo)) < timedelta(hours=1)
    await put(database, Once(at=shown + timedelta(days=1)), shown + timedelta(days=1))
    assert (await clock(database).tick()).fired == 0
