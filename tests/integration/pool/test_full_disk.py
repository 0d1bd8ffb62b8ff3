"""A full disk, wherever it is met: nothing is lost or left, and it goes on when there is room."""

import pytest

from tests.fakes.driver_trouble import FullDiskDriver, NoRoomToBootDriver, NoRoomToResumeDriver
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import HostFull
from vmpool.machine import MachineState, TemplateState, Tier
from vmpool.reconcile import reconcile


async def test_no_room_to_boot_leaves_nothing_and_the_next_turn_tries_again(yards):
    yard = yards.make(NoRoomToBootDriver(yards.host))
    session = await yard.session()
    yard.host.full = True
    with pytest.raises(HostFull, match="would not fit"):
        await yard.opened(session)
    assert yard.host.machines == {}
    assert await yard.registry.mine() == []
    yard.host.full = False
    async with yard.open(session) as opened:
        assert opened.fresh


async def test_no_room_for_a_template_s_memory_fails_its_build_and_leaves_nothing(yards):
    driver = FullDiskDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=1))
    failed = await build(yard)
    assert failed is not None
    assert failed.state is TemplateState.FAILED
    assert "no room for a machine's memory" in (failed.note or "")
    assert failed.steps[-1]["step"] == "freeze"
    assert (yard.host.machines, yard.host.templates) == ({}, {})
    assert await yard.registry.mine() == []


async def test_no_room_to_heat_throws_the_machine_away_and_the_pool_is_filled_later(yards):
    yard = yards.make(NoRoomToResumeDriver(yards.host), **ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    (cold,) = await yard.rows.waiting()
    yard.host.full = True
    assert not await yard.stock._heat(cold.id, "so that it is hot")
    assert await yard.state(cold.id) is MachineState.GONE
    assert yard.host.machines == {}
    yard.host.full = False
    yard.stock._breakers.clear()
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.RESTING: 1}


@pytest.mark.parametrize("state", ["running", "resting"])
async def test_a_machine_is_removed_from_a_full_disk(yards, state):
    yard = yards.make()
    session = await yard.session()
    machine_id = await yard.opened(session)
    if state == "resting":
        assert await yard.pool.rest(machine_id)
    yard.host.full = True
    assert await yard.pool.destroy(machine_id, "a person asked for it")
    assert yard.said(session)[-1] == "gone"
    assert yard.host.machines == {}


async def test_hot_machines_are_handed_out_on_a_full_disk(yards):
    yard = yards.make(NoRoomToResumeDriver(yards.host), **ROOMY, demand=limits(hot=1, cold=0))
    await build(yard)
    await yard.keeper.tend()
    yard.host.full = True
    session = await yard.session()
    async with yard.open(session) as opened:
        assert opened.tier is Tier.HOT
    assert not await yard.pool.rest(opened.machine_id)
    assert yard.said(session) == ["running"]
    async with yard.open(session) as again:
        assert again.machine_id == opened.machine_id


async def test_a_process_that_starts_on_a_full_disk_takes_over_everything(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    running, resting = await yard.session(), await yard.session()
    runs, rests = await yard.opened(running), await yard.opened(resting)
    assert await yard.pool.rest(rests)
    await yard.pool.close()
    yard.host.full = True

    again = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    again.tokens = yard.tokens
    await reconcile(again.pool, again.registry, again.driver)
    await again.keeper.repair()
    assert await again.opened(running) == runs
    assert await again.opened(resting) == rests
    assert again.told == []
    assert {str(one.id) for one in await again.registry.mine()} == set(again.host.machines)
