"""A full disk, wherever it is met: nothing is lost or left, and it goes on when there is room."""

from dataclasses import replace

import pytest

from tests.fakes.driver_trouble import (
    FullDiskDriver,
    NoRoomToBootDriver,
    NoRoomToResumeDriver,
    OutOfReachDriver,
)
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


async def stands_still(yards, monkeypatch):
    """A yard, its driver, and a machine whose guest can't be reached since its rest was refused."""
    monkeypatch.setattr("vmpool.care.GO_ON_SECONDS_MAX", 0.1)
    driver = OutOfReachDriver(yards.host)
    yard = yards.make(driver)
    machine_id = await yard.opened(await yard.session())
    assert not await yard.pool.rest(machine_id)
    assert await yard.state(machine_id) is MachineState.RUNNING
    return yard, driver, machine_id


async def goes_on(yard, machine_id) -> bool:
    """Whether its jobs do: a guest whose jobs stand still starts none."""
    channel = yard.pool.care.channel(machine_id)
    if channel is None:
        return False
    return (await channel.run(["echo", "on"], timeout_seconds=20)).stdout == b"on\n"


async def test_jobs_that_no_rest_came_for_are_let_go_on_later_and_later(yards, monkeypatch):
    yard, driver, machine_id = await stands_still(yards, monkeypatch)
    care = yard.pool.care
    for failures in (1, 2, 3):
        assert care._still[machine_id].failures == failures
        await yard.pool.let_jobs_go_on()
        assert care._still[machine_id].failures == failures, "it is not time yet"
        care._still[machine_id] = replace(care._still[machine_id], until=0.0)
        driver.deaf = failures < 3
        await yard.pool.let_jobs_go_on()
    assert await goes_on(yard, machine_id)
    assert care._still == {}


async def test_whoever_opens_the_machine_lets_its_jobs_go_on_and_nobody_else_does(
    yards, monkeypatch
):
    yard, driver, machine_id = await stands_still(yards, monkeypatch)
    care = yard.pool.care
    care._still[machine_id] = replace(care._still[machine_id], until=0.0)
    driver.deaf = False
    session = (await yard.row(machine_id)).session_id
    async with yard.open(session) as opened:
        assert await goes_on(yard, machine_id)
        await yard.pool.let_jobs_go_on()
        assert care.channel(machine_id) is opened.channel
    assert care._still == {}


async def test_the_next_process_lets_them_go_on(yards, monkeypatch):
    yard, _, machine_id = await stands_still(yards, monkeypatch)
    await yard.pool.close()
    again = yards.make()
    await reconcile(again.pool, again.registry, again.driver)
    assert await goes_on(again, machine_id)
