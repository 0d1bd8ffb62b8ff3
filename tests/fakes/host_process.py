"""`ona work` over a driver of processes: pool, rows, reconcile, worker; without repositories.

Run as `python -m tests.fakes.host_process URL ROOT HOST_ID OWNER LEASE_SECONDS`, one at a time
for a host, as the lock of `ona work` has it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.agent.shell import ShellAgent
from bot.store.database import CONTROL, READY, Database, Listener
from bot.store.ids import new_id
from bot.supervisor import Signals
from bot.work.jobs import ChannelJobs
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.queue import Event, LeaseLost
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from bot.work.workplace import NoCapacity, Tell, Workplace, WorkplaceLost
from tests.fakes.process_driver import ProcessDriver
from vmpool.driver import Image, MachineSpec
from vmpool.errors import MachineLost, NoRoom, StaleToken
from vmpool.pool import Pool, PoolLimits
from vmpool.reconcile import reconcile
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.warm.rows import Rows

RUNNING_MAX = 3
SPEC = MachineSpec(
    image=Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest="x"),
    vcpus=1,
    memory_mib=128,
    disk_gib=1,
)


async def small(lease: Lease) -> Order:
    """A small machine for the session."""
    return Order(project_id=lease.project_id, size="small", spec=SPEC)


class HomelessJobs(ChannelJobs):
    """Jobs that don't read the profile of whoever runs the tests."""

    async def start(
        self, job_id: str, argv: Sequence[str], *, environment: Mapping[str, str], **known: Any
    ) -> None:
        await super().start(job_id, argv, environment={**environment, "HOME": "/"}, **known)


class PoolWorkplaces:
    """Workplaces in the machines of a pool, without a repository in them."""

    def __init__(self, pool: Pool, order: Callable[[Lease], Awaitable[Order]] = small) -> None:
        """`order` tells what machine a session gets."""
        self._pool = pool
        self._order = order

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        async def step(name: str) -> None:
            await tell(Event(kind="step", body={"step": name}))

        only = turn.machine_id if turn is not None else None
        try:
            order = await self._order(lease)
            async with self._pool.open(
                lease.session_id, order, token=lease.key.token, only=only, step=step
            ) as opened:
                jobs = HomelessJobs(opened.channel)
                yield Workplace(
                    jobs=jobs,
                    directory="/",
                    materials=Materials(opened.channel),
                    machine_id=opened.machine_id,
                )
        except NoRoom as error:
            raise NoCapacity(str(error)) from error
        except StaleToken as error:
            raise LeaseLost(str(error)) from error
        except MachineLost as error:
            raise WorkplaceLost(str(error)) from error

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        return []

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        raise NotImplementedError


async def main(url: str, root: str, host_id: str, owner: str, lease_seconds: str) -> None:
    signals = Signals()
    signals.install()
    database, listener = Database(url, connections_max=8), Listener(url, READY, CONTROL)
    listening = asyncio.create_task(listener.run())
    driver = ProcessDriver(Path(root) / "machines")
    registry = Registry(database.session, UUID(host_id), new_id)
    limits = PoolLimits(
        running_max=RUNNING_MAX,
        boot_seconds=30,
        resume_seconds=30,
        idle_seconds=600,
        retention_days=1,
    )

    async def told(session_id: UUID, state: str, known: dict[str, Any]) -> None:
        print(session_id, state, known, flush=True)

    authority = await Authority.load(Path(root) / "ca")
    rows = Rows(database.session, UUID(host_id), new_id)
    pool = Pool(registry, rows, driver, limits, authority=authority, told=told, enter=driver.enter)
    print(dict(await reconcile(pool, registry, driver)), flush=True)
    queue = WorkQueue(
        database, owner=owner, host_id=UUID(host_id), lease_seconds=float(lease_seconds)
    )
    turn_limits = TurnLimits(seconds_max=60, output_bytes_max=1 << 20, question_seconds_max=60)
    turns = Turns(
        Means(
            queue=queue,
            workplaces=PoolWorkplaces(pool),
            agents={"shell": ShellAgent()},
            limits=turn_limits,
        )
    )
    worker = Worker(
        queue, turns, listener, WorkerLimits(turns_max=4, poll_seconds=1, finish_seconds=1)
    )
    print(f"begun {owner}", flush=True)
    await worker.run(signals.stop, signals.now)
    await pool.close()
    listening.cancel()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
