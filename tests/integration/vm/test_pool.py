"""A pool of real machines: a template built, machines made hot and cold, handed out, refilled."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.ids import new_id
from tests.integration.conftest import DEMO, Town
from tests.integration.vm.test_clones import COUNTER, HYPERVISORS
from tests.support.real_pool import SECONDS, RealPool, real_pool, said
from vmpool.channel import Channel
from vmpool.driver import Image
from vmpool.machine import MachineState, Tier
from vmpool.reconcile import reconcile
from vmpool.warm.building import BuildLog

pytestmark = pytest.mark.timeout(900)


async def furnish(channel: Channel, build_log: BuildLog) -> str:
    """What the template's machine is set up with: a file, and a process that counts."""
    async with build_log.step("set up"):
        await said(channel, "echo ready > note")
        await said(channel, f"setsid sh -c '{COUNTER}' > /dev/null 2>&1 < /dev/null &")
        await said(channel, "until [ -s /tmp/count ]; do sleep 0.1; done")
    return "c1"


@pytest.fixture(
    params=[
        pytest.param("qemu", marks=pytest.mark.vm),
        pytest.param("cloud-hypervisor", marks=pytest.mark.nested),
    ],
)
async def place(
    request: pytest.FixtureRequest, town: Town, guest_image: Image, vm_directory: Path
) -> AsyncIterator[RealPool]:
    async with real_pool(
        town.database.session,
        town.host_id,
        DEMO,
        directory=vm_directory,
        hypervisor=HYPERVISORS[request.param](),
        image=guest_image,
    ) as place:
        yield place


async def test_machines_are_handed_out_hot_then_cold_then_booted_and_are_their_own(
    place: RealPool,
) -> None:
    await place.build(furnish)
    await place.keeper.tend()
    assert await place.waiting() == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    (hot,) = [each.id for each in await place.rows.waiting() if each.state is MachineState.PAUSED]
    login = place.pool.care.channel(hot)
    assert login is not None
    # Longer than a connection lives without a sign of life.
    await asyncio.sleep(20)
    tiers, identities, randoms = [], set(), []
    for _ in range(3):
        async with place.open(new_id()) as opened:
            if opened.tier is Tier.HOT:
                assert opened.channel is login, "it was open all the time"
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
    place: RealPool,
) -> None:
    await place.build(furnish)
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
    async with place.open(new_id()) as opened:
        assert opened.tier is Tier.HOT
        assert await said(opened.channel, "cat note") == "ready"
    await reconcile(place.pool, place.registry, place.driver)
    assert place.lost == []
