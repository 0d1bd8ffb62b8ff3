"""Time from the commit of `!echo` until its first output is in the log, on a running machine.

Everything is the product's: inbox, worker, pool, channel, guest. The yardstick is the same command
over an SSH connection to the same machine that is already open; both in turns.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import asyncssh
from sqlalchemy import TextClause, text

from adapters.agent.shell import ShellAgent
from bot.conversation.message import Accepted
from bot.store.blobs import DirectoryBlobs
from bot.store.database import CONTROL, EVENTS, READY, Listener
from bot.store.ids import new_id
from bot.work.checkpoint import Checkpoints
from bot.work.machines import MachineWorkplaces
from bot.work.repository import Repositories
from bot.work.sizes import MachineSize, Sizes
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits
from tests.bench.claim import commits
from tests.bench.figures import Figure, percentile, spread
from tests.bench.town import Town, databases
from tests.e2e.installation import make_repository
from tests.fakes.caches import images_dir
from tests.support.isolated import isolated
from vmpool.driver import Image
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.image import ensure_image
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Registry
from vmpool.ssh import Authority
from vmpool.warm.rows import Rows

SAMPLES = 25
COMMAND = "echo hello"
OUTPUT = text("SELECT 1 FROM turn_event WHERE session_id = :id AND number > :n AND kind = 'output'")
ENDED = text(
    "SELECT 1 FROM turn_event WHERE session_id = :id AND number > :n AND kind = 'turn.ended'"
)


async def measure() -> list[Figure]:
    """Both in turns, after one that boots the machine."""
    with tempfile.TemporaryDirectory(prefix="first-byte-") as place:
        async with databases() as make_url:
            town = Town(make_url())
            await town.settle()
            await _use_repository(town, make_repository(Path(place) / "demo"))
            async with _at_work(town, Path(place)) as (pool, listener):
                ours, theirs = await _sampled(town, pool, listener)
            await town.database.close()
    ratio = percentile(ours, 0.5) / percentile(theirs, 0.5)
    figure = Figure(
        name="prompt on a running machine → first byte of `!echo` in the log",
        unit="ms",
        **spread([value * 1000 for value in ours]),
        yardstick="the same command over an open SSH connection",
        yardstick_p50=round(percentile(theirs, 0.5) * 1000, 1),
        ratio=round(ratio, 2),
        target="≤ 2 ×",
        passed=ratio <= 2,
        note="Software emulation: both mostly wait for the guest to start a process.",
    )
    return [figure]


async def _use_repository(town: Town, repository: Path) -> None:
    async with town.database.begin() as tx:
        await tx.execute(text("UPDATE project SET repository_url = :url"), {"url": str(repository)})


@asynccontextmanager
async def _at_work(town: Town, place: Path) -> AsyncIterator[tuple[Pool, Listener]]:
    """A worker with machines, as `ona work` puts it together."""

    async def image() -> Image:
        return await ensure_image(images_dir(), progress=print)

    async def told(session_id: UUID, state: str, known: dict[str, object]) -> None:
        pass

    root, qemu = place / "machines", Qemu(accelerator="tcg")
    driver = LocalDriver(root, qemu, isolation=isolated(root, qemu))
    registry = Registry(town.database.session, town.host, new_id)
    limits = PoolLimits(
        running_max=2, boot_seconds=90, resume_seconds=60, idle_seconds=600, retention_days=1
    )
    rows = Rows(town.database.session, town.host, new_id)
    authority = await Authority.load(place / "ca")
    pool = Pool(registry, rows, driver, limits, authority=authority, told=told)
    workplaces = MachineWorkplaces(
        town.database,
        pool,
        Repositories(place / "mirrors"),
        Checkpoints(
            town.database,
            DirectoryBlobs(place / "blobs"),
            bytes_max=1 << 28,
            inline_bytes_max=1 << 16,
            file_bytes_max=1 << 24,
        ),
        host_id=town.host,
        image=image,
        sizes=Sizes(
            by_name={"medium": MachineSize(vcpus=2, memory_mib=512, disk_gib=8)}, default="medium"
        ),
    )
    queue = WorkQueue(town.database, owner="bench", host_id=town.host, lease_seconds=30)
    turn = TurnLimits(seconds_max=600, output_bytes_max=1 << 20, question_seconds_max=60)
    turns = Turns(
        Means(queue=queue, workplaces=workplaces, agents={"shell": ShellAgent()}, limits=turn)
    )
    listener, stop = Listener(town.url, READY, CONTROL, EVENTS), asyncio.Event()
    listening = asyncio.create_task(listener.run())
    await listener.listening.wait()
    bounds = WorkerLimits(turns_max=2, poll_seconds=5, finish_seconds=5)
    working = asyncio.create_task(Worker(queue, turns, listener, bounds).run(stop))
    try:
        yield pool, listener
    finally:
        stop.set()
        await working
        for machine in await registry.mine():
            await pool.destroy(machine.id, "the bench is over")
        await pool.close()
        await driver.close()
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _sampled(town: Town, pool: Pool, listener: Listener) -> tuple[list[float], list[float]]:
    wake = asyncio.Event()
    listener.on(EVENTS, lambda _: wake.set())
    first = await town.inbox.accept(town.message("bench", f"!{COMMAND}"))
    await _until(town, wake, first, ENDED)
    (channel,) = pool.care._channels.values()
    connection = await channel.login()
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(SAMPLES):
        with commits(town.database) as committed:
            accepted = await town.inbox.accept(town.message("bench", f"!{COMMAND}"))
        await _until(town, wake, accepted, OUTPUT)
        ours.append(time.perf_counter() - committed[0])
        await _until(town, wake, accepted, ENDED)
        theirs.append(await _by_ssh(connection))
    connection.close()
    return ours, theirs


async def _until(
    town: Town, wake: asyncio.Event, accepted: Accepted, statement: TextClause
) -> None:
    """Return when the log has such an event after the prompt, hinted as every reader is."""
    known = {"id": accepted.session_id, "n": accepted.event}
    while True:
        wake.clear()
        if (await town.database.run(statement, known)).first() is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await wake.wait()


async def _by_ssh(connection: asyncssh.SSHClientConnection) -> float:
    began = time.perf_counter()
    async with await connection.create_process(f"/bin/bash -lc '{COMMAND}'") as process:
        await process.stdout.read(1)
        took = time.perf_counter() - began
        await process.wait()
    return took
