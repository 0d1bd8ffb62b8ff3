"""Time from the commit of a prompt until a waiting worker has claimed its session.

The worker is the real one; only its turns do nothing. The yardstick is a bare NOTIFY from one
connection until another one has heard it, with the same client in the same event loop.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from bot.store.database import CONTROL, READY, Database, Listener
from bot.work.lease import Lease
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from tests.bench.figures import Figure, percentile, spread
from tests.bench.queue_process import NoTurns
from tests.bench.town import Town, databases

WARMING = 50
CLAIMS = 300
SESSIONS = 20
CALM_SECONDS = 0.01
"""For a worker that ended a turn to look for another one and wait again."""


class _TimedQueue(WorkQueue):
    """Notes when a claim was had."""

    claimed = 0.0

    async def claim(self, *, people_only: bool = False) -> Lease | None:
        lease = await super().claim(people_only=people_only)
        if lease is not None:
            self.claimed = time.perf_counter()
        return lease


async def measure() -> list[Figure]:
    """Both in turns, sample by sample."""
    async with databases() as make_url:
        town = Town(make_url())
        await town.settle()
        listener = Listener(town.url, READY, CONTROL)
        listening = asyncio.create_task(listener.run())
        await listener.listening.wait()
        try:
            ours, theirs = await _measured(town, listener)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            await town.database.close()
    ratio = percentile(ours, 0.5) / percentile(theirs, 0.5)
    figure = Figure(
        name="commit → a waiting worker has claimed",
        unit="ms",
        **spread([value * 1000 for value in ours]),
        yardstick="bare NOTIFY, sent → heard",
        yardstick_p50=round(percentile(theirs, 0.5) * 1000, 3),
        ratio=round(ratio, 2),
        target="≤ 3 ×",
        passed=ratio <= 3,
    )
    return [figure]


async def _measured(town: Town, listener: Listener) -> tuple[list[float], list[float]]:
    database = Database(town.url, connections_max=4)
    queue = _TimedQueue(database, owner="bench", host_id=town.host, lease_seconds=30)
    turns = NoTurns(queue)
    limits = WorkerLimits(turns_max=4, poll_seconds=60, finish_seconds=1)
    worker = Worker(queue, turns, listener, limits)  # type: ignore[arg-type]
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    ours: list[float] = []
    theirs: list[float] = []
    conninfo = town.url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        async with (
            await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as hearer,
            await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as speaker,
        ):
            await hearer.execute("LISTEN bench")
            for number in range(-WARMING, CLAIMS):
                claimed = await _claimed(town, queue, turns, number)
                heard = await _heard(hearer, speaker)
                if number >= 0:
                    ours.append(claimed)
                    theirs.append(heard)
    finally:
        stop.set()
        await working
        await database.close()
    return ours, theirs


async def _claimed(town: Town, queue: _TimedQueue, turns: NoTurns, number: int) -> float:
    await asyncio.sleep(CALM_SECONDS)
    turns.ended.clear()
    with commits(town.database) as committed:
        await town.inbox.accept(town.message(f"claim-{number % SESSIONS}"))
    await turns.ended.wait()
    return queue.claimed - committed[0]


@contextmanager
def commits(database: Database) -> Iterator[list[float]]:
    """Notes when a transaction has been committed and its hints are about to be sent."""
    send, moments = database.hint, []

    def noting(*hints: tuple[str, str]) -> None:
        moments.append(time.perf_counter())
        send(*hints)

    database.hint = noting  # type: ignore[method-assign]
    try:
        yield moments
    finally:
        database.hint = send  # type: ignore[method-assign]


async def _heard(
    hearer: psycopg.AsyncConnection[object], speaker: psycopg.AsyncConnection[object]
) -> float:
    await asyncio.sleep(CALM_SECONDS)
    notices = hearer.notifies()
    hearing = asyncio.ensure_future(anext(notices))
    await asyncio.sleep(CALM_SECONDS)
    began = time.perf_counter()
    await speaker.execute("NOTIFY bench")
    await hearing
    took = time.perf_counter() - began
    await notices.aclose()  # it holds the connection, which could not be used again
    return took
