"""One worker process of the throughput bench: ours, or procrastinate's.

Run as `python -m tests.bench.queue_process ours|procrastinate URL …`; it prints `ready`, waits
for a line on standard input, works until nothing is left, prints `done`, and ends.
"""

import asyncio
import sys
from uuid import UUID

from sqlalchemy import text

from bot.store.database import CONTROL, READY, Database, Listener
from bot.store.states import TurnState
from bot.work.lease import Lease
from bot.work.watching import TurnSignals
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits

SLOTS = 8
CONNECTIONS = 4
"""Each is held for one round trip, so fewer than slots do."""
DONE = text("SELECT count(*) FROM turn WHERE ended_at IS NOT NULL")


class NoTurns:
    """Turns without work inside; everything around them is the product's."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self.ended = asyncio.Event()

    async def run(self, lease: Lease, signals: TurnSignals) -> None:
        begun = await self._queue.begin_turn(lease, None)
        if begun is None:
            await self._queue.release(lease)
            return
        await self._queue.finish(lease, begun, TurnState.SUCCEEDED, {"summary": "done"})
        self.ended.set()


async def ours(url: str, host_id: str, owner: str, total: str) -> None:
    database = Database(url, connections_max=CONNECTIONS)
    listener = Listener(url, READY, CONTROL)
    queue = WorkQueue(database, owner=owner, host_id=UUID(host_id), lease_seconds=30)
    limits = WorkerLimits(turns_max=SLOTS, poll_seconds=5, finish_seconds=5)
    worker = Worker(queue, NoTurns(queue), listener, limits)  # type: ignore[arg-type]
    stop = asyncio.Event()
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()

    async def watch() -> None:
        while (await database.run(DONE)).scalar_one() < int(total):
            await asyncio.sleep(0.05)
        stop.set()

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        group.create_task(watch())
    print("done", flush=True)
    listening.cancel()
    await database.close()


async def theirs(url: str, total: str) -> None:
    from tests.bench.queue_yardstick import make_app

    app = make_app(url)
    async with app.open_async():
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await app.run_worker_async(
            concurrency=SLOTS,
            wait=False,
            install_signal_handlers=False,
            fetch_job_polling_interval=0.05,
        )
        print("done", flush=True)


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    asyncio.run(ours(*rest) if kind == "ours" else theirs(*rest))
