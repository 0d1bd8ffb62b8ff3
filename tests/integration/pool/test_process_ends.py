"""The hypervisor's process is killed: running, being saved, being loaded, waiting, being set up."""

import pytest

from tests.fakes.driver_trouble import (
    DiesAtRestDriver,
    DiesAtResumeDriver,
    DiesLaterDriver,
    DiesWhileLoadingDriver,
)
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import MachineLost
from vmpool.machine import MachineState, TemplateState, Tier


async def ends_once(yard, session, machine_id, said):
    """It was told, nothing of it is left, and the session goes on in a machine that is new."""
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == said
    assert str(machine_id) not in yard.host.machines
    async with yard.open(session) as opened:
        assert opened.fresh
        assert opened.machine_id != machine_id
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
    assert yard.said(session) == said
    return opened


async def test_killed_in_a_turn_the_turn_has_lost_its_machine_and_the_next_gets_one(yard):
    session = await yard.session()
    async with yard.open(session) as opened:
        yard.host.kill(str(opened.machine_id))
        with pytest.raises(MachineLost):
            await opened.channel.run(["echo", "on"], timeout_seconds=10)
    await yard.became(opened.machine_id, MachineState.GONE)
    with pytest.raises(MachineLost, match="SIGKILL"):
        async with yard.open(session, only=opened.machine_id):
            pass
    await ends_once(yard, session, opened.machine_id, ["lost"])


async def test_killed_while_its_memory_is_saved_it_is_lost_and_the_next_turn_gets_another(yards):
    yard = yards.make(DiesAtRestDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert not await yard.pool.rest(machine_id)
    await ends_once(yard, session, machine_id, ["lost"])


async def test_killed_while_it_makes_way_it_has_made_way(yards):
    yard = yards.make(DiesAtRestDriver(yards.host), running_max=1)
    idle, coming = await yard.session(), await yard.session()
    machine_id = await yard.opened(idle)
    await yard.opened(coming)
    await ends_once(yard, idle, machine_id, ["lost"])


@pytest.mark.parametrize("only", [False, True])
async def test_killed_while_its_memory_is_loaded_it_is_loaded_again(yards, only):
    yard = yards.make(DiesWhileLoadingDriver(yards.host))
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    assert await yard.pool.rest(opened.machine_id)
    async with yard.open(session, only=opened.machine_id if only else None) as again:
        assert (again.machine_id, again.lost) == (opened.machine_id, None)
        assert again.channel.boot == boot
    assert yard.said(session) == ["resting"]
    assert (await yard.row(opened.machine_id)).generation == 2


async def test_killed_again_while_it_is_loaded_again_it_is_lost(yards):
    yard = yards.make(DiesWhileLoadingDriver(yards.host, times=2))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    async with yard.open(session) as opened:
        assert opened.fresh
        assert "its memory was not loaded" in (opened.lost or "")
    assert yard.said(session) == ["resting"]
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_killed_when_its_rest_is_used_up_the_turn_gets_another_and_says_why(yards):
    yard = yards.make(DiesAtResumeDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    async with yard.open(session) as opened:
        assert opened.fresh
        assert "while it loaded its memory" in (opened.lost or "")
    assert yard.said(session) == ["resting"]
    assert await yard.state(machine_id) is MachineState.GONE
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_killed_while_loaded_for_a_turn_that_began_in_it_no_other_is_made(yards):
    yard = yards.make(DiesAtResumeDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    with pytest.raises(MachineLost, match="while it loaded its memory"):
        async with yard.open(session, only=machine_id):
            pass
    assert yard.host.machines == {}
    await ends_once(yard, session, machine_id, ["resting"])


async def test_killed_right_after_it_was_loaded_it_is_lost(yards):
    driver = DiesLaterDriver(yards.host, after=-1)
    yard = yards.make(driver)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    driver.opens_left = 1
    async with yard.open(session) as opened:
        assert opened.fresh
        assert opened.lost is not None
    assert yard.said(session) == ["resting"]
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_killed_while_it_waits_hot_the_pool_is_filled_again_and_nobody_hears(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    (hot,) = [m for m in await yard.rows.waiting() if m.state is MachineState.PAUSED]
    yard.host.kill(str(hot.id))
    await yard.became(hot.id, MachineState.GONE)
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    assert yard.told == []


async def test_killed_while_loaded_for_a_claim_the_next_one_is_handed_out(yards):
    yard = yards.make(DiesAtResumeDriver(yards.host), **ROOMY, demand=limits(hot=0, cold=2))
    await build(yard)
    await yard.keeper.tend()
    first, second = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.tier, opened.lost) == (second.id, Tier.COLD, None)
    assert yard.said(session) == []
    assert await yard.state(first.id) is MachineState.GONE
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.RESTING: 2}


async def test_killed_while_it_is_heated_it_is_thrown_away_and_the_pool_is_filled_later(yards):
    yard = yards.make(DiesAtResumeDriver(yards.host), **ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    assert MachineState.PAUSED not in await waiting(yard)
    yard.stock._breakers.clear()
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    assert len(yard.host.machines) == 2


async def test_killed_while_it_becomes_a_template_the_build_has_failed_and_nothing_is_left(yards):
    yard = yards.make(DiesAtRestDriver(yards.host), **ROOMY, demand=limits())
    failed = await build(yard)
    assert failed is not None
    assert failed.state is TemplateState.FAILED
    assert failed.steps[-1]["step"] == "freeze"
    assert (yard.host.machines, yard.host.templates) == ({}, {})
    async with yard.open(await yard.session()) as opened:
        assert opened.tier is Tier.BOOT
