"""Pools of real machines on this host, their rows in a real database: for tests and benches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from bot.config import SIZES, SizeSettings
from bot.store.ids import new_id
from tests.support.isolated import isolated
from vmpool.begin import Begin
from vmpool.channel import Channel
from vmpool.driver import Image, MachineSpec
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.local import LocalDriver
from vmpool.machine import MachineState
from vmpool.network.way_out import WayOut
from vmpool.opening import Opened
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.warm.building import Builder, BuildLog, Furnish
from vmpool.warm.demand import Demands
from vmpool.warm.due import Wanted
from vmpool.warm.keeper import Keeper, KeeperLimits
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.stock import Stock, StockLimits

SECONDS = 120


async def said(channel: Channel, command: str) -> str:
    """What a shell command printed."""
    done = await channel.run(["sh", "-c", command], timeout_seconds=SECONDS)
    return done.stdout.decode().strip()


async def nothing(channel: Channel, build_log: BuildLog) -> str:
    """A template of the bare image."""
    return "c1"


@dataclass(kw_only=True)
class RealPool:
    """One host with real machines, all of one size."""

    driver: LocalDriver
    pool: Pool
    registry: Registry
    rows: Rows
    keeper: Keeper
    stock: Stock
    order: Order
    tokens: int = 0
    lost: list[str] = field(default_factory=list)
    """What sessions were told of machines they lost."""

    @asynccontextmanager
    async def open(self, session_id: UUID) -> AsyncIterator[Opened]:
        """The session's machine for a turn."""
        self.tokens += 1

        async def step(_: str) -> None:
            pass

        async with self.pool.open(
            session_id, self.order, token=self.tokens, only=None, step=step
        ) as opened:
            yield opened

    async def build(self, furnish: Furnish = nothing) -> None:
        """Have the template built, if it is due."""
        want = Wanted(order=self.order, ingredients=(), commit="c1")
        await self.keeper.build_due([want], {want.key: furnish})

    async def waiting(self) -> dict[MachineState, int]:
        """How many machines wait, by state."""
        states = [machine.state for machine in await self.rows.waiting()]
        return {state: states.count(state) for state in states}


@asynccontextmanager
async def real_pool(
    begin: Begin,
    host_id: UUID,
    project_id: UUID,
    *,
    directory: Path,
    hypervisor: Hypervisor,
    image: Image,
    hot: int = 1,
    cold: int = 1,
    size: SizeSettings = SIZES["small"],
    way_out: WayOut | None = None,
) -> AsyncIterator[RealPool]:
    """Make one in `directory`; nothing of it is left afterwards."""
    root = directory / hypervisor.name
    apart = isolated(root, hypervisor)
    driver = LocalDriver(root, hypervisor, isolation=apart, way_out=way_out)
    registry, rows = Registry(begin, host_id, new_id), Rows(begin, host_id, new_id)
    lost: list[str] = []

    async def told(session_id: UUID, state: str, known: dict[str, object]) -> None:
        if state == "lost":
            lost.append(str(known))

    pool = Pool(
        registry,
        rows,
        driver,
        PoolLimits(
            running_max=16,
            memory_mib_max=64 * 1024,
            boot_seconds=SECONDS,
            resume_seconds=SECONDS,
            idle_seconds=3600,
            retention_days=1,
        ),
        authority=await Authority.load(directory / "ca"),
        told=told,
    )
    stock = Stock(rows, registry, driver, pool, StockLimits(at_once_max=1, resume_seconds=SECONDS))
    limits = SizingLimits(
        hot_min=hot, hot_max=hot, cold_min=cold, cold_max=cold, keep_seconds=86400
    )
    place = RealPool(
        driver=driver,
        pool=pool,
        registry=registry,
        rows=rows,
        stock=stock,
        keeper=Keeper(
            rows,
            driver,
            pool,
            stock=stock,
            builder=Builder(rows, registry, driver, pool, boot_seconds=SECONDS),
            demands=Demands(rows, limits, at_once=1),
            limits=KeeperLimits(rebuild_seconds=1800, disk_reserve_mib=1),
        ),
        order=Order(
            project_id=project_id,
            size="one",
            spec=MachineSpec(
                image=image,
                vcpus=size.vcpus,
                memory_mib=size.memory_mib,
                disk_gib=size.disk_gib,
            ),
        ),
        lost=lost,
    )
    try:
        yield place
    finally:
        for machine in await registry.mine():
            await pool.care.remove(machine.id, "it is over")
        for sight in await driver.templates():
            await driver.drop(sight.template_id)
        await pool.close()
