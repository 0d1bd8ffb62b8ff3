"""The `ona work` of the fleet bench: machines are processes of this host, without repositories.

Run as `python -m tests.bench.fleet_host URL ROOT HOST_ID PARALLEL`. Each machine holds the real
guest program; idle ones rest after a second and are removed soon after, as they are after days. It
prints `claimed SESSION SECONDS`, by the monotonic clock of this host, for each claim.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.agent.shell import ShellAgent
from bot.config import kept_for_people
from bot.host import NICENESS
from bot.store.database import CONTROL, READY, Database, Listener
from bot.store.ids import new_id
from bot.supervisor import Signals
from bot.work.lease import Lease
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from scheduler.chores import Chore, run_chores
from tests.fakes.host_process import PoolWorkplaces, small
from tests.fakes.process_driver import ProcessDriver
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.warm.rows import Rows

IDLE_SECONDS = 1.0
RETENTION_DAYS = 2 / 86400
CHORE_SECONDS = 1.0
HALF_WEIGHT = ("nice", "-n", "3")
"""As a hypervisor's cgroup weighs beside others: `vmpool.drivers.cgroup.WEIGHT`."""
_YIELDS = text("SELECT priority > 0 FROM session WHERE id = :session")


class TellingQueue(WorkQueue):
    """Says when something was claimed."""

    async def claim(self, *, people_only: bool = False) -> Lease | None:
        lease = await super().claim(people_only=people_only)
        if lease is not None:
            print(f"claimed {lease.session_id} {time.monotonic():.6f}", flush=True)
        return lease


def slots(parallel: int) -> int:
    """So many that `parallel` are left when a quarter is kept for people."""
    return next(
        n for n in range(parallel, 2 * parallel + 2) if n - kept_for_people(None, n) >= parallel
    )


def pool_of(
    database: Database, root: Path, host_id: UUID, count: int, authority: Authority
) -> Pool:
    """A pool over processes, with room for `count` machines that run."""
    driver = ProcessDriver(root / "m", by=HALF_WEIGHT)
    registry = Registry(database.session, host_id, new_id)
    limits = PoolLimits(
        running_max=count,
        running_for_people=kept_for_people(None, count),
        memory_mib_max=1_000_000,
        boot_seconds=60,
        resume_seconds=60,
        idle_seconds=IDLE_SECONDS,
        retention_days=RETENTION_DAYS,
    )
    rows = Rows(database.session, host_id, new_id)
    return Pool(registry, rows, driver, limits, authority=authority, told=_told, enter=driver.enter)


async def _told(session_id: UUID, state: str, known: dict[str, Any]) -> None:
    """Nobody reads it here."""


def orders(database: Database) -> Callable[[Lease], Any]:
    """As `bot.work.machines` orders them, without a repository."""

    async def order(lease: Lease) -> Order:
        found = await database.run(_YIELDS, {"session": lease.session_id})
        return replace(await small(lease), yields=bool(found.scalar_one()))

    return order


async def main(url: str, root: str, host_id: str, parallel: str) -> None:
    os.nice(NICENESS)
    signals = Signals()
    signals.install()
    database, listener = Database(url), Listener(url, READY, CONTROL)
    listening = asyncio.create_task(listener.run())
    count, authority = slots(int(parallel)), await Authority.load(Path(root) / "ca")
    pool = pool_of(database, Path(root), UUID(host_id), count=count, authority=authority)
    queue = TellingQueue(database, owner="fleet", host_id=UUID(host_id), lease_seconds=30)
    bounds = TurnLimits(seconds_max=600, output_bytes_max=1 << 20, question_seconds_max=60)
    workplaces = PoolWorkplaces(pool, orders(database))
    turns = Turns(
        Means(queue=queue, workplaces=workplaces, agents={"shell": ShellAgent()}, limits=bounds)
    )
    limits = WorkerLimits(
        turns_max=count, for_people=kept_for_people(None, count), poll_seconds=5, finish_seconds=1
    )
    chores = [
        Chore(name="idle", seconds=CHORE_SECONDS, run=pool.rest_idle),
        Chore(name="retention", seconds=CHORE_SECONDS, run=pool.remove_expired),
    ]
    await listener.listening.wait()
    print("begun", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(Worker(queue, turns, listener, limits).run(signals.stop, signals.now))
        group.create_task(run_chores(chores, signals.stop))
    await pool.close()
    listening.cancel()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
