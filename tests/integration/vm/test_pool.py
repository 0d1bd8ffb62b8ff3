"""A pool of real machines: a template built, machines made hot and cold, handed out, refilled."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from bot.store.ids import new_id
from tests.integration.conftest import DEMO, Town
from tests.integration.vm.test_clones import COUNTER, HYPERVISORS
from vmpool.channel import Channel
from vmpool.driver import Image, MachineSpec
from vmpool.drivers.local import LocalDriver
from vmpool.machine import MachineState, Tier
from vmpool.pool import Opened, Pool, PoolLimits
from vmpool.reconcile import reconcile
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.warm.building import Builder, BuildLog
from vmpool.warm.demand import Demands
from vmpool.warm.keeper import Keeper, KeeperLimits
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.stock import Stock, StockLimits
from vmpool.warm.templates import Wanted

pytestmark = pytest.mark.timeout(900)
SECONDS = 120


@dataclass(kw_only=True)
class Place:
    """One host with real machines."""

    town: Town
    driver: LocalDriver
    pool: Pool
    registry: Registry
    rows: Rows
    keeper: Keeper
    order: Order
    tokens: int = 0
    lost: list[str] = field(default_factory=list)

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

    async def session(self) -> UUID:
        accepted = await self.town.say("!a", place=f"place-{new_id()}")
        assert accepted.session_id is not None
        return accepted.session_id

    async def build(self) -> None:
        want = Wanted(order=self.order, ingredients=(), commit="c1")
        await self.keeper.build_due([want], {want.key: furnish})

    async def waiting(self) -> dict[MachineState, int]:
        states = [machine.state for machine in await self.rows.waiting()]
        return {state: states.count(state) for state in states}


async def furnish(channel: Channel, build_log: BuildLog) -> str:
    """What the template's machine is set up with: a file, and a process that counts."""
    async with build_log.step("set up"):
        await said(channel, "echo ready > note")
        await said(channel, f"setsid sh -c '{COUNTER}' > /dev/null 2>&1 < /dev/null &")
        await said(channel, "until [ -s /tmp/count ]; do sleep 0.1; done")
    return "c1"


async def said(channel: Channel, command: str) -> str:
    done = await channel.run(["sh", "-c", command], timeout_seconds=SECONDS)
    return done.stdout.decode().strip()


@pytest.fixture(
    params=[
        pytest.param("qemu", marks=pytest.mark.vm),
        pytest.param("cloud-hypervisor", marks=pytest.mark.nested),
    ],
)
async def place(
    request: pytest.FixtureRequest, town: Town, guest_image: Image, vm_directory: Path
) -> AsyncIterator[Place]:
    driver = LocalDriver(vm_directory / request.param, HYPERVISORS[request.param]())
    begin = town.database.session
    registry, rows = Registry(begin, town.host_id, new_id), Rows(begin, town.host_id, new_id)

    async def told(session_id: UUID, state: str, known: dict[str, object]) -> None:
        if state == "lost":
            place.lost.append(str(known))

    pool = Pool(
        registry,
        rows,
        driver,
        PoolLimits(
            running_max=8,
            memory_mib_max=64 * 1024,
            boot_seconds=SECONDS,
            resume_seconds=SECONDS,
            idle_seconds=3600,
            retention_days=1,
        ),
        authority=await Authority.load(vm_directory / "ca"),
        told=told,
    )
    limits = SizingLimits(hot_min=1, hot_max=1, cold_min=1, cold_max=1, keep_seconds=86400)
    place = Place(
        town=town,
        driver=driver,
        pool=pool,
        registry=registry,
        rows=rows,
        keeper=Keeper(
            rows,
            driver,
            pool,
            stock=Stock(
                rows, registry, driver, pool, StockLimits(at_once_max=1, resume_seconds=SECONDS)
            ),
            builder=Builder(rows, registry, driver, pool, boot_seconds=SECONDS),
            demands=Demands(rows, limits, at_once=1),
            limits=KeeperLimits(rebuild_seconds=1800, disk_reserve_mib=1),
        ),
        order=Order(
            project_id=DEMO,
            size="small",
            spec=MachineSpec(image=guest_image, vcpus=1, memory_mib=512, disk_gib=8),
        ),
    )
    try:
        yield place
    finally:
        for machine in await registry.mine():
            await pool.care.remove(machine.id, "the test is over")
        for sight in await driver.templates():
            await driver.drop(sight.template_id)
        await pool.close()


async def test_machines_are_handed_out_hot_then_cold_then_booted_and_are_their_own(
    place: Place,
) -> None:
    await place.build()
    await place.keeper.tend()
    assert await place.waiting() == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    # Longer than a connection lives without a sign of life.
    await asyncio.sleep(20)
    tiers, identities, randoms = [], set(), []
    for _ in range(3):
        async with place.open(await place.session()) as opened:
            tiers.append(opened.tier)
            identities.add(await said(opened.channel, "hostname; cat /etc/machine-id"))
            randoms.append(await said(opened.channel, "od -An -N16 -tx8 /dev/urandom"))
            assert abs(int(await said(opened.channel, "date +%s")) - time.time()) < 30
            if opened.tier is not Tier.BOOT:
                assert await said(opened.channel, "cat note") == "ready"
                before = int(await said(opened.channel, "cat /tmp/count"))
                await said(
                    opened.channel, f"until [ $(cat /tmp/count) -gt {before} ]; do sleep 0.1; done"
                )
    assert tiers == [Tier.HOT, Tier.COLD, Tier.BOOT]
    assert len(identities) == len(set(randoms)) == 3
    assert await place.waiting() == {}
    await place.keeper.tend()
    assert await place.waiting() == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    assert place.lost == []


async def test_a_hot_machine_whose_process_dies_is_replaced_and_nobody_hears_of_it(
    place: Place,
) -> None:
    await place.build()
    await place.keeper.tend()
    (hot,) = [m for m in await place.rows.waiting() if m.state is MachineState.PAUSED]
    await place.driver._running[str(hot.id)].kill("its process was ended by the test")
    async with asyncio.timeout(SECONDS):
        while (machine := await place.registry.get(hot.id)) is not None:
            if machine.state is MachineState.GONE:
                break
            await asyncio.sleep(0.1)
    await place.keeper.tend()
    assert await place.waiting() == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    (template,) = await place.driver.templates()
    await place.driver.drop(template.template_id)
    async with place.open(await place.session()) as opened:
        assert opened.tier is Tier.HOT
        assert await said(opened.channel, "cat note") == "ready"
    await reconcile(place.pool, place.registry, place.driver)
    assert place.lost == []
