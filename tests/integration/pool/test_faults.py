"""Pools on a host where something goes wrong: nothing is lost, nothing is left behind."""

from datetime import UTC, datetime, timedelta

import pytest

import vmpool.channel
import vmpool.pool
from tests.fakes.driver_trouble import NoRoomToResumeDriver
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.decide import Remedy
from vmpool.errors import HostFull, HostUnfit
from vmpool.machine import MachineState, TemplateState, Tier
from vmpool.memory import HostMemory
from vmpool.reconcile import reconcile


async def orphans(yard):
    """Machines of the host that no row owns, and rows whose machine is not there."""
    rows = {str(machine.id) for machine in await yard.registry.mine()}
    return rows ^ set(yard.host.machines)


async def test_a_host_that_went_down_keeps_what_rested_and_its_pool_is_filled_again(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=2))
    await build(yard)
    await yard.keeper.tend()
    running, resting = await yard.session(), await yard.session()
    rested = await yard.opened(resting)
    assert await yard.pool.rest(rested)
    await yard.driver.find()
    lost = await yard.opened(running)
    cold = [m.id for m in await yard.rows.waiting() if m.state is MachineState.RESTING]
    await yard.pool.close()
    for machine in yard.host.machines.values():
        if machine.running:
            yard.host.end(machine, "the host went down")

    again = yards.make(**ROOMY, demand=limits(hot=1, cold=2))
    await reconcile(again.pool, again.registry, again.driver)
    await again.keeper.repair()
    assert again.said(running) == ["lost"]
    assert again.said(resting) == []
    assert await again.state(lost) is MachineState.GONE
    assert {m.id for m in await again.rows.waiting()} == set(cold)
    async with again.open(resting) as opened:
        assert (opened.machine_id, opened.fresh) == (rested, False)
    await again.keeper.tend()
    assert await waiting(again) == {MachineState.PAUSED: 1, MachineState.RESTING: 2}
    assert await orphans(again) == set()


async def test_a_hypervisor_that_is_away_for_a_while_costs_no_memory_and_no_template(yards):
    """As while it is upgraded: whoever looks around then can't say what a rest is worth."""
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=1))
    template = await build(yard)
    assert template is not None
    await yard.keeper.tend()
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    assert await yard.pool.rest(opened.machine_id)
    await yard.keeper.tend()
    before = set(yard.host.machines)
    yard.host.lacking = True
    for _ in range(2):
        done = +await reconcile(yard.pool, yard.registry, yard.driver)
        assert done == {Remedy.NONE: 2}
        await yard.keeper.repair()
    with pytest.raises(HostUnfit, match="install"):
        await yard.opened(session)
    assert set(yard.host.machines) == before
    assert (await yard.rows.template(template.id)).state is TemplateState.READY
    yard.host.lacking = False
    async with yard.open(session) as opened:
        assert (opened.channel.boot, opened.lost) == (boot, None)
    assert yard.said(session) == ["resting"]
    assert await waiting(yard) == {MachineState.RESTING: 1}


async def test_a_full_disk_fills_no_pool_and_leaves_nothing(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    template = await build(yard)
    yard.host.full = True
    await yard.keeper.tend()
    assert await waiting(yard) == {}
    assert await orphans(yard) == set()
    assert (await yard.rows.templates())[0].state is TemplateState.READY
    yard.host.full = False
    yard.stock._breakers.clear()
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}
    assert template is not None


async def test_a_full_disk_builds_no_template_and_says_why(yards):
    yard = yards.make(**ROOMY, demand=limits())
    yard.host.full = True
    assert (await build(yard)).state is TemplateState.FAILED
    (template,) = await yard.rows.templates()
    assert "no room" in template.note
    assert await orphans(yard) == set()


async def test_a_full_disk_starts_nothing_and_keeps_the_rest(yards):
    yard = yards.make(NoRoomToResumeDriver(yards.host), **ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    session = await yard.session()
    yard.host.full = True
    with pytest.raises(HostFull):
        await yard.opened(session)
    machine = await yard.registry.of_session(session)
    assert machine is not None
    assert machine.state is MachineState.RESTING
    assert yard.said(session) == []
    yard.host.full = False
    assert await yard.opened(session) == machine.id
    assert await yard.pool.rest(machine.id)
    yard.host.full = True
    with pytest.raises(HostFull):
        await yard.opened(session)
    yard.host.full = False
    assert await yard.opened(session) == machine.id


async def test_a_guest_that_says_it_was_thawed_more_often_than_it_was_is_not_trusted(yards):
    yard = yards.make(**ROOMY)
    session = await yard.session()
    machine_id = await yard.opened(session)
    await yard.pool.rest(machine_id)
    await yard.put(machine_id, generation=-5)
    async with yard.open(session) as opened:
        assert opened.machine_id != machine_id
        assert "thawed" in (opened.lost or "")
    await yard.became(machine_id, MachineState.GONE)


async def test_a_waiting_machine_whose_guest_says_so_is_never_handed_out(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=2))
    await build(yard)
    await yard.keeper.tend()
    liar, honest = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    await yard.put(liar.id, generation=-5)
    async with yard.open(await yard.session()) as opened:
        assert (opened.machine_id, opened.tier) == (honest.id, Tier.COLD)
    await yard.became(liar.id, MachineState.GONE)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_stepped_loses_no_machine(yards, monkeypatch, hours):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    session = await yard.session()
    machine_id = await yard.opened(session)

    class Stepped(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) + timedelta(hours=hours)

    monkeypatch.setattr(vmpool.pool, "datetime", Stepped)
    async with yard.open(session) as opened:
        # In use: whatever the clock says, it stays.
        assert await yard.pool.rest_idle() == 0
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
    await yard.pool.rest_idle()
    assert await yard.pool.remove_expired() == 0
    assert await yard.opened(session) == machine_id
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}


async def test_a_host_that_is_short_of_disk_deletes_what_rests_and_nothing_that_runs(yards):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    old, lately, running = [await yard.session() for _ in range(3)]
    machines = {}
    for session in (old, lately, running):
        async with yard.open(session) as opened:
            machines[session] = opened.machine_id
    for session in (old, lately):
        assert await yard.pool.rest(machines[session])
    await yard.keeper.tend()
    (waits,) = await yard.rows.waiting()

    assert not await yard.pool.relieve()
    yard.host.full = True
    assert await yard.pool.relieve()
    assert await yard.state(waits.id) is MachineState.GONE
    assert await yard.pool.relieve()
    assert await yard.state(machines[old]) is MachineState.GONE
    assert yard.said(old) == ["resting", "gone"]
    assert "nearly full" in yard.why()
    async with yard.pool.open(lately, yard.order, token=99, only=machines[lately], step=_nothing):
        assert not await yard.pool.relieve(), "a turn has it"
    assert await yard.pool.relieve() is False, "it runs now"
    assert await yard.state(machines[running]) is MachineState.RUNNING
    yard.host.full = False
    async with yard.open(old) as opened:
        assert opened.fresh


async def _nothing(step: str) -> None:
    pass


@pytest.mark.parametrize("by", ["memory", "a session"])
async def test_a_stopped_hypervisor_whose_room_is_needed_is_ended_and_its_session_goes_on(
    yards, by
):
    available = 100 if by == "memory" else 10_000
    yard = yards.make(
        running_max=1, memory=lambda: HostMemory(total_mib=16_000, available_mib=available)
    )
    session = await yard.session()
    machine_id = await yard.opened(session)
    yards.host.stop(str(machine_id))
    if by == "memory":
        assert await yard.pool.relieve()
    else:
        assert await yard.opened(await yard.session()) != machine_id
    assert str(machine_id) not in yards.host.machines
    assert yard.said(session) == ["lost"]
    assert "its room was needed" in yard.why()
    assert "its process is stopped" in yard.why()
    async with yard.open(session) as opened:
        assert opened.fresh


async def test_a_stopped_hypervisor_that_is_in_nobody_s_way_is_kept_until_it_goes_on(
    yards, monkeypatch
):
    monkeypatch.setattr(vmpool.channel, "LOGIN_SECONDS_MAX", 0.1)
    yard = yards.make(idle_seconds=0.0)
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    yards.host.stop(str(opened.machine_id))
    assert await yard.pool.rest_idle() == 0
    assert yard.said(session) == []
    yards.host.go_on(str(opened.machine_id))
    async with yard.open(session) as again:
        assert (again.fresh, again.channel.boot) == (False, boot)
