"""One listener of an installation at a time, and a successor when it ends."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bot.leading import LeadingListener
from bot.store.database import Database


class Stage:
    """Who listens now."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.listening: list[str] = []
        self.most = 0

    def listener(self, name: str, **more) -> LeadingListener:
        async def listen(hear, stop):
            self.listening.append(name)
            self.most = max(self.most, len(self.listening))
            await stop.wait()
            self.listening.remove(name)

        return LeadingListener(
            self.database, listen, name="x", owner=name, lead_seconds=3.0, **more
        )

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(100):
            while self.listening != list(names):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(listener: LeadingListener):
    stop = asyncio.Event()
    task = asyncio.create_task(listener.run(lambda _: asyncio.sleep(0), stop))
    yield stop
    stop.set()
    await task


@pytest.fixture
async def stage(town) -> Stage:
    return Stage(town.database)


async def test_one_listens_and_the_other_takes_over_at_once_when_it_stops(stage):
    async with running(stage.listener("one")) as first:
        await stage.until("one")
        async with running(stage.listener("two")):
            await asyncio.sleep(1.5)
            assert stage.listening == ["one"]
            first.set()
            await stage.until("two")
    assert stage.most == 1


async def test_whoever_lost_its_lease_stops_before_another_listens(stage, town):
    async with running(stage.listener("one")):
        await stage.until("one")
        taken = "UPDATE lease SET owner = 'two', until = now() + interval '1 h' RETURNING 1"
        await town.rows(taken)
        await stage.until()


async def test_a_listener_that_breaks_is_told_to_whoever_runs_it(stage):
    async def broken(hear, stop):
        raise ValueError("broken")

    listener = LeadingListener(stage.database, broken, name="x", owner="one", lead_seconds=3.0)
    with pytest.raises(ValueError, match="broken"):
        await listener.run(lambda _: asyncio.sleep(0), asyncio.Event())
    async with running(stage.listener("two")):
        await stage.until("two")
