"""What is due is written down once, whoever leads, whatever ends and whichever way clocks move."""

import asyncio
import json
import os
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from subprocess import Popen
from time import monotonic
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from bot.store.database import Database
from bot.store.ids import new_id
from scheduler import due_rows, schedule_rows
from scheduler.clock import LEASE_SECONDS, POLL_SECONDS, Clock
from scheduler.leader import Leader
from scheduler.rules import Cron, Every, Once, Rule, kept
from scheduler.schedule import Schedule, acted_on_at

START = datetime(2027, 3, 27, 12, tzinfo=UTC)
TAKEN_OVER_SECONDS = 10.0
PUT = text(
    """
    INSERT INTO schedule (id, rule, zone, misfire, jitter_seconds, due_at, fire_at)
    VALUES (:id, CAST(:rule AS jsonb), :zone, :misfire, :jitter, :due, :due)
    """
)
FIRINGS = text("SELECT schedule_id, due_at, state, missed FROM firing ORDER BY due_at, schedule_id")


@pytest.fixture
async def database(database_url):
    database = Database(database_url)
    yield database
    await database.close()


class Time:
    """A clock that only moves when it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **more: float) -> None:
        self.at += timedelta(**more)


def clock(database, now=None, *, owner: str = "a", **more: float) -> Clock:
    leader = Leader(name="schedules", owner=owner, seconds=LEASE_SECONDS)
    return Clock(database.begin, leader, new_id=new_id, now=now, **more)


async def put(database, rule: Rule, due: datetime, **more) -> UUID:
    key = new_id()
    values = {"zone": "UTC", "misfire": "late", "jitter": 0, **more}
    row = {"id": key, "rule": json.dumps(kept(rule)), "due": due, **values}
    await database.run(PUT, row)
    return key


async def firings(database) -> list[tuple]:
    return [tuple(row) for row in await database.run(FIRINGS)]


async def over(database) -> None:
    """The leader has been silent for as long as its lease lasts."""
    await database.run(text("UPDATE lease SET until = clock_timestamp() - interval '1 s'"))


async def test_each_due_moment_is_one_firing(database):
    now = Time()
    hourly = await put(database, Cron(fields="0 * * * *"), START)
    once = await put(database, Once(at=START), START)
    one = clock(database, now)
    assert (await one.tick()).fired == 2
    assert (await one.tick()).fired == 0
    now.pass_(hours=1, seconds=3)
    assert (await one.tick()).fired == 1
    assert await firings(database) == [
        (hourly, START, "due", 0),
        (once, START, "due", 0),
        (hourly, START + timedelta(hours=1), "due", 0),
    ]
    states = await database.run(text("SELECT id, state FROM schedule"))
    assert {row.id: row.state for row in states} == {hourly: "active", once: "ended"}


async def test_what_was_missed_fires_once_and_late_or_not_at_all(database):
    now = Time()
    late = await put(database, Cron(fields="0 * * * *"), START)
    skips = await put(database, Cron(fields="0 * * * *"), START, misfire="skip")
    now.pass_(hours=5, minutes=30)
    await clock(database, now).tick()
    last = START + timedelta(hours=5)
    assert sorted(await firings(database)) == sorted(
        [(late, last, "due", 5), (skips, last, "skipped", 6)]
    )


async def test_it_is_due_from_its_start_to_its_end_and_then_over(database):
    now, key = Time(), new_id()
    edges = {"starts_at": START + timedelta(minutes=90), "ends_at": START + timedelta(hours=3)}
    schedule = Schedule(rule=Cron(fields="30 * * * *"), zone="Asia/Kolkata", **edges)
    async with database.begin() as tx:
        await schedule_rows.add(tx, key, schedule, now())
        await schedule_rows.pause(tx, key, "somebody said so")
    (row,) = await database.run(text("SELECT * FROM schedule"))
    async with database.begin() as tx:
        await schedule_rows.start(tx, key, due_rows.schedule_of(row), now())
    one = clock(database, now)
    for _ in range(5):
        await one.tick()
        now.pass_(hours=1)
    # There the clocks show half past when it is a full hour in UTC.
    assert [row[1] - START for row in await firings(database)] == [
        timedelta(hours=2),
        timedelta(hours=3),
    ]
    state = text("SELECT state FROM schedule WHERE id = :id")
    assert (await database.run(state, {"id": key})).scalar_one() == "ended"


async def test_jitter_moves_when_each_firing_is_written_and_not_what_it_is_for(database):
    now, jitter = Time(), timedelta(minutes=10)
    rule = Cron(fields="0 * * * *")
    key = await put(database, rule, START, jitter=jitter.total_seconds())
    schedule = Schedule(rule=rule, zone="UTC", jitter_seconds=int(jitter.total_seconds()))
    one = clock(database, now)
    assert (await one.tick()).fired == 1
    for hours in range(1, 5):
        due = START + timedelta(hours=hours)
        later = acted_on_at(schedule, key, due)
        now.at = later - timedelta(seconds=1)
        assert (await one.tick()).fired == 0
        now.at = later
        assert (await one.tick()).fired == 1
        assert (await firings(database))[-1] == (key, due, "due", 0)


async def test_what_takes_long_to_decide_is_written_down_in_several_transactions(
    database, monkeypatch
):
    monkeypatch.setattr(due_rows, "DECIDING_SECONDS_MAX", -1.0)
    now = Time()
    for _ in range(3):
        await put(database, Cron(fields="0 * * * *"), START)
    async with database.begin() as tx:
        batch = await due_rows.fire(tx, now(), limit=10, new_id=new_id)
    assert (batch.fired, batch.more) == (1, True)
    assert (await clock(database, now).tick()).fired == 2
    assert len(await firings(database)) == 3


async def test_a_clock_that_is_set_back_fires_nothing_again_and_forgets_nothing(database):
    now = Time()
    await put(database, Every(seconds=60, first=START), START)
    one = clock(database, now)
    seen = 0
    for step in (0, 60, -3600, 60, 3600, -7200, 7200, 60):
        now.pass_(seconds=step)
        seen += (await one.tick()).fired
    due = [row[1] for row in await firings(database)]
    assert len(due) == len(set(due)) == seen == 4
    assert due == [START + timedelta(minutes=minutes) for minutes in (0, 1, 2, 3)]


async def test_two_at_once_fire_once(database):
    now = Time()
    for _ in range(40):
        await put(database, Once(at=START), START)
    both = [clock(database, now, owner=owner) for owner in "ab"]
    ticks = await asyncio.gather(*(one.tick() for one in both))
    assert sorted(tick.fired for tick in ticks) == [0, 40]
    assert sorted(tick.leads for tick in ticks) == [False, True]
    await over(database)
    assert sum(tick.fired for tick in await asyncio.gather(*(one.tick() for one in both))) == 0


class Died(Exception):
    """The process ended here."""


@pytest.mark.parametrize("statement", range(1, 6))
async def test_a_leader_that_ends_at_any_statement_is_followed_by_one_that_does_it_all(
    database, statement
):
    now = Time()
    key = await put(database, Cron(fields="0 * * * *"), START)

    class Mortal:
        def __init__(self, tx) -> None:
            self._tx, self._left = tx, statement

        async def execute(self, query, parameters, /):
            done = await self._tx.execute(query, parameters)
            self._left -= 1
            if not self._left:
                raise Died
            return done

    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)

    async def act() -> None:
        async with database.begin() as tx:
            mortal = Mortal(tx)
            await leader.lead(mortal)
            await due_rows.fire(mortal, now(), limit=10, new_id=new_id)

    with pytest.raises(Died):
        await act()
    assert await firings(database) == []
    await over(database)
    assert (await clock(database, now, owner="b").tick()).fired == 1
    assert await firings(database) == [(key, START, "due", 0)]


async def test_the_database_s_end_in_the_middle_of_a_firing_loses_nothing(database):
    now = Time()
    key = await put(database, Cron(fields="0 * * * *"), START)

    async def act() -> None:
        async with database.begin() as tx:
            await due_rows.fire(tx, now(), limit=10, new_id=new_id)
            await database.run(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )

    with pytest.raises(psycopg.OperationalError):
        await act()
    assert await firings(database) == []
    assert (await clock(database, now).tick()).fired == 1
    assert await firings(database) == [(key, START, "due", 0)]


async def unreadable(database) -> list[UUID]:
    rows = await database.run(
        text("SELECT schedule_id FROM firing WHERE state = 'due' AND why = :why"),
        {"why": due_rows.UNREADABLE},
    )
    return list(rows.scalars())


async def test_a_schedule_that_can_t_be_read_pauses_and_stops_no_other(database):
    now = Time()
    broken = await put(database, Once(at=START), START, zone="Mars/Phobos")
    sound = await put(database, Once(at=START), START)
    await clock(database, now).tick()
    due = [(one, START, "due", 0) for one in (broken, sound)]
    assert sorted(await firings(database)) == sorted(due)
    assert await unreadable(database) == [broken], "for whoever tells it"
    assert (await clock(database, now).tick()).fired == 0
    row = (
        await database.run(text("SELECT state, why FROM schedule WHERE id = :id"), {"id": broken})
    ).one()
    assert (row.state, "Mars/Phobos" in row.why) == ("paused", True)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "once", "at": "2027-03-27T12:00:00"},
        {"kind": "every", "seconds": 60, "first": "2027-03-27T12:00:00"},
        {"kind": "days", "days": 1, "first": "2027-03-27T12:00:00+00:00"},
    ],
)
async def test_one_from_which_no_time_follows_is_paused_and_the_others_fire(database, rule):
    bad = await put(database, Once(at=START), START)
    changed = {"id": bad, "rule": json.dumps(rule)}
    await database.run(text("UPDATE schedule SET rule = :rule WHERE id = :id"), changed)
    good = await put(database, Once(at=START), START)
    assert (await clock(database, Time()).tick()).fired == 2
    assert {row[0] for row in await firings(database)} == {bad, good}
    assert await unreadable(database) == [bad]
    found = await database.run(text("SELECT state, why FROM schedule WHERE id = :id"), {"id": bad})
    row = found.one()
    assert (row.state, bool(row.why)) == ("paused", True)


async def test_what_is_added_is_fired_at_its_time(database):
    stop = asyncio.Event()
    # Only the timer can ring in time: the next look at the table would come too late.
    one = clock(database, poll_seconds=600)
    running = asyncio.create_task(one.run(stop))
    now = await database.run(text("SELECT clock_timestamp() AS now"))
    due = now.one().now + timedelta(seconds=1)
    await put(database, Once(at=due), due)
    one.look.set()
    async with asyncio.timeout(60):
        while not await firings(database):
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(running, 60)
    fired_at = (await database.run(text("SELECT fired_at FROM firing"))).scalar_one()
    assert timedelta() <= fired_at - due


def test_a_leader_that_is_gone_is_replaced_within_ten_seconds_with_time_to_spare():
    assert LEASE_SECONDS + POLL_SECONDS <= 0.65 * TAKEN_OVER_SECONDS


def test_a_leader_that_decides_for_long_renews_its_lease_at_half_of_it():
    assert POLL_SECONDS + due_rows.DECIDING_SECONDS_MAX <= LEASE_SECONDS / 2


@contextmanager
def process(url: str, owner: str):
    running = Popen([sys.executable, "-m", "tests.fakes.clock_process", url, owner])
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def leads(database, owner: str) -> None:
    query = text("SELECT owner FROM lease WHERE name = 'schedules' AND until > clock_timestamp()")
    async with asyncio.timeout(100):
        while (await database.run(query)).scalar_one_or_none() != owner:
            await asyncio.sleep(0.05)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_leader_that_is_killed_or_stopped_is_replaced_within_ten_seconds(
    database, database_url, how
):
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    await put(database, Every(seconds=60, first=first), first)
    with process(database_url, "a") as leader:
        await leads(database, "a")
        with process(database_url, "b"):
            # The second has looked at least once, so that its start is not measured.
            await asyncio.sleep(POLL_SECONDS)
            os.kill(leader.pid, how)
            began = monotonic()
            await leads(database, "b")
            assert monotonic() - began <= TAKEN_OVER_SECONDS
