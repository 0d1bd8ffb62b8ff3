"""One worker process of the throughput bench: ours, or procrastinate's.

Run as `python -m tests.bench.queue_process ours|procrastinate URL …`; it prints `ready`, waits
for a line on standard input, works until nothing is left, and ends.
"""

import asyncio
import sys
from uuid import UUID

from bot.store.database import READY, Database, Listener
from bot.store.states import TurnState
from bot.work.work_queue import WorkQueue

SLOTS = 8


async def ours(url: str, host_id: str, owner: str, total: str) -> None:
    database, listener = Database(url, connections_max=SLOTS), Listener(url)
    queue = WorkQueue(database, owner=owner, host_id=UUID(host_id), lease_seconds=30)
    wake, finished = asyncio.Event(), asyncio.Event()
    listener.on(READY, lambda _: wake.set())
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()

    async def slot() -> None:
        while not finished.is_set():
            wake.clear()
            lease = await queue.claim()
            if lease is not None:
                begun = await queue.begin_turn(lease, None)
                if begun is None:
                    await queue.release(lease)
                    continue
                await queue.finish(lease, begun, TurnState.SUCCEEDED, {"summary": "done"})
                continue
            try:
                async with asyncio.timeout(0.05):
                    await wake.wait()
            except TimeoutError:
                pass

    async def watch() -> None:
        from sqlalchemy import text

        while not finished.is_set():
            async with database.begin() as tx:
                done = await tx.scalar(text("SELECT count(*) FROM turn WHERE ended_at IS NOT NULL"))
            if done is not None and done >= int(total):
                finished.set()
                return
            await asyncio.sleep(0.05)

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with asyncio.TaskGroup() as group:
        for _ in range(SLOTS):
            group.create_task(slot())
        group.create_task(watch())
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


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    asyncio.run(ours(*rest) if kind == "ours" else theirs(*rest))
