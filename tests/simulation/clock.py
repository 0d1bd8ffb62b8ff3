"""Days of the clock on a real database by a clock that is injected, while its leaders are lost.

Everything but the time is the product's. A leader is lost in the middle of its transaction, and the
next one comes ten seconds later.
"""

import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text

from bot.store.database import Database
from bot.store.ids import new_id
from scheduler import due_rows
from scheduler.clock import Clock
from scheduler.leader import Leader
from scheduler.rules import Cron, Days, Every, Rule, kept
from scheduler.schedule import Schedule

STEP_SECONDS = 60
LOST_EVERY_SECONDS = 3600
LOST_SECONDS = 10
START = datetime(2027, 3, 23, tzinfo=UTC)
"""Clocks change in Europe five days later."""
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC")
_PUT = text(
    """
    INSERT INTO schedule (id, rule, zone, due_at, fire_at)
    SELECT id, rule, zone, due_at, due_at FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS one (id uuid, rule jsonb, zone text, due_at timestamptz)
    """
)
_READ = text("SELECT id, rule, zone FROM schedule")
_FIRED = text(
    """
    SELECT schedule_id, due_at, count(*) AS times FROM firing WHERE state = 'due' GROUP BY 1, 2
    """
)
_OVER = text("UPDATE lease SET until = clock_timestamp() - interval '1 s'")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the due moments of some days."""

    due: int
    """By the rules of the schedules, read by other code than the product's."""
    missed: int
    doubled: int
    """Written down though it was not due, or more than once."""
    leaders: int


class Lost(Exception):
    """The leader ended in the middle of its transaction."""


class Losing:
    """A database whose next transaction ends without a commit when it is told so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.loses = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[object]:
        async with self._database.begin() as tx:
            yield tx
            if self.loses:
                self.loses = False
                raise Lost


async def put(database: Database, rules: Sequence[tuple[Rule, str]], start: datetime) -> None:
    """Insert schedules that are due from `start` on."""
    rows = []
    for rule, zone in rules:
        due = Schedule(rule=rule, zone=zone).next_after(start)
        rows.append({"id": new_id(), "rule": kept(rule), "zone": zone, "due_at": due})
    await database.run(_PUT, {"rows": json.dumps(rows, default=str)})


def mixed(count: int) -> list[tuple[Rule, str]]:
    """So many rules that are due once or twice a day, in several zones."""
    chance = random.Random(8)
    rules: list[tuple[Rule, str]] = []
    for number in range(count):
        hour, minute = chance.randrange(24), chance.randrange(60)
        first = START + timedelta(seconds=chance.randrange(12 * 3600))
        kinds: tuple[Rule, ...] = (
            Every(seconds=12 * 3600, first=first),
            Cron(fields=f"{minute} {hour} * * *"),
            Days(days=1, first=datetime(2027, 3, 22, hour, minute)),
            Cron(fields=f"{minute} {hour} * * *"),
        )
        rules.append((kinds[number % len(kinds)], ZONES[number // 4 % len(ZONES)]))
    return rules


async def simulate(database: Database, *, schedules: int, days: int) -> Outcome:
    """Let so many days pass over new schedules; the database is empty before."""
    await put(database, mixed(schedules), START)
    leaders = await _days(database, days)
    found = {(row.schedule_id, row.due_at): row.times for row in await database.run(_FIRED)}
    due = await _expected(database, days)
    return Outcome(
        due=len(due),
        missed=len(due - found.keys()),
        doubled=len(found.keys() - due) + sum(times - 1 for times in found.values()),
        leaders=leaders,
    )


async def _days(database: Database, days: int) -> int:
    now, number = START, 0
    losing = Losing(database)

    def successor() -> Clock:
        leader = Leader(name="schedules", owner=f"leader-{number}", seconds=3600)
        return Clock(losing.begin, leader, new_id=new_id, now=lambda: now)  # type: ignore[arg-type]

    clock = successor()
    for seconds in range(0, days * 86400 + 1, STEP_SECONDS):
        now = START + timedelta(seconds=seconds)
        if seconds % LOST_EVERY_SECONDS == 0:
            losing.loses = True
            try:
                await clock.tick()
            except Lost:
                number += 1
            await database.run(_OVER)
            clock = successor()
            now += timedelta(seconds=LOST_SECONDS)
        await clock.tick()
    return number


async def _expected(database: Database, days: int) -> set[tuple[UUID, datetime]]:
    end = START + timedelta(days=days)
    clocks = {name: _clocks(ZoneInfo(name), days) for name in ZONES}
    return {
        (row.id, at)
        for row in await database.run(_READ)
        for at in _due(due_rows.restored(row.rule), clocks[row.zone], days)
        if START < at <= end
    }


def _due(rule: Rule, clocks: Mapping[datetime, datetime], days: int) -> Iterator[datetime]:
    """When a rule of `mixed` is due, worked out without the code that is tried here."""
    match rule:
        case Every():
            step = timedelta(seconds=rule.seconds)
            yield from (rule.first + step * number for number in range(2 * days + 1))
        case Cron():
            minute, hour, *_ = rule.fields.split()
            yield from _daily(time(int(hour), int(minute)), clocks)
        case Days():
            yield from _daily(rule.first.time(), clocks)


def _daily(shown: time, clocks: Mapping[datetime, datetime]) -> Iterator[datetime]:
    return (at for wall, at in clocks.items() if wall.time() == shown)


def _clocks(zone: ZoneInfo, days: int) -> dict[datetime, datetime]:
    """Each minute that clocks show in these days, and when: the first time, or at a gap's end."""
    minute = timedelta(minutes=1)
    found: dict[datetime, datetime] = {}
    wall = (START - timedelta(days=1)).astimezone(zone).replace(tzinfo=None)
    for number in range((days + 2) * 1440):
        at = START - timedelta(days=1) + number * minute
        shown = at.astimezone(zone).replace(tzinfo=None)
        while wall <= shown:
            found[wall] = at
            wall += minute
    return found
