"""Guests that never say hello: given up within a limit, destroyed, and nobody waits for them."""

import pytest

from tests.fakes.driver_trouble import MuteAfterResumeDriver, SilentGuest
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import MachineLost
from vmpool.jobs import JobConnection
from vmpool.machine import MachineState, Tier


async def test_one_that_is_silent_after_its_rest_is_lost_and_the_turn_gets_another(yards):
    yard = yards.make(MuteAfterResumeDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    async with yard.open(session) as opened:
        assert opened.fresh
        assert "did not answer" in (opened.lost or "")
    assert yard.said(session) == ["resting"]
    assert await yard.state(machine_id) is MachineState.GONE
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_those_that_wait_and_are_silent_are_thrown_away_until_one_speaks(yards):
    yard = yards.make(
        MuteAfterResumeDriver(yards.host, times=2), **ROOMY, demand=limits(hot=0, cold=3)
    )
    await build(yard)
    await yard.keeper.tend()
    *silent, last = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.tier, opened.lost) == (last.id, Tier.COLD, None)
    assert yard.said(session) == []
    assert [await yard.state(one.id) for one in silent] == [MachineState.GONE] * 2
    assert set(yard.host.machines) == {str(last.id)}


async def test_when_all_that_wait_are_silent_one_is_booted(yards):
    yard = yards.make(
        MuteAfterResumeDriver(yards.host, times=2), **ROOMY, demand=limits(hot=0, cold=2)
    )
    await build(yard)
    await yard.keeper.tend()
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.tier, opened.lost) == (Tier.BOOT, None)
    assert yard.said(session) == []
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_one_that_is_silent_while_it_is_heated_never_becomes_hot(yards):
    yard = yards.make(MuteAfterResumeDriver(yards.host), **ROOMY, demand=limits(hot=1, cold=0))
    await build(yard)
    await yard.keeper.tend()
    assert (await waiting(yard), yard.host.machines) == ({}, {})
    yard.stock._breakers.clear()
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1}


async def test_a_hot_one_that_fell_silent_is_thrown_away_and_the_next_handed_out(
    yards, monkeypatch
):
    yard = yards.make(**ROOMY, demand=limits(hot=2, cold=0))
    await build(yard)
    await yard.keeper.tend()
    silent, other = sorted(await yard.rows.waiting(), key=lambda machine: machine.created_at)
    yard.host.machines[str(silent.id)].guest = SilentGuest()
    # Whoever speaks, but later than this, is greeted anew, with all the time there is.
    monkeypatch.setitem(JobConnection.request.__kwdefaults__, "seconds_max", 2.0)
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.tier) == (other.id, Tier.HOT)
    assert yard.said(session) == []
    assert await yard.state(silent.id) is MachineState.GONE


@pytest.mark.parametrize("state", ["running", "resting"])
async def test_one_that_is_silent_is_removed_like_any_other(yards, state):
    yard = yards.make()
    session = await yard.session()
    machine_id = await yard.opened(session)
    yard.host.machines[str(machine_id)].guest = SilentGuest()
    if state == "resting":
        await yard.pool.close()
        await yard.driver.hibernate(str(machine_id))
        await yard.reach(machine_id, "resting")
    assert await yard.pool.destroy(machine_id, "a person asked for it")
    assert yard.said(session) == ["gone"]
    assert yard.host.machines == {}


async def test_one_that_never_gets_ready_for_its_rest_keeps_its_place_for_a_while_only(
    yard, monkeypatch
):
    monkeypatch.setattr("vmpool.channel.LOGIN_SECONDS_MAX", 0.4)
    monkeypatch.setattr("vmpool.care.GO_ON_SECONDS_MAX", 0.1)
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    machine = yard.host.machines[str(opened.machine_id)]
    speaking, machine.guest = machine.guest, SilentGuest()
    yard.host.hang_up(machine)
    for _ in range(2):
        assert not await yard.pool.rest(opened.machine_id)
        assert await yard.state(opened.machine_id) is MachineState.RUNNING
    assert await yard.pool.rest(opened.machine_id)
    assert yard.said(session) == ["resting"]
    machine.guest = speaking
    async with yard.open(session) as again:
        assert (again.machine_id, again.lost) == (opened.machine_id, None)
        assert again.channel.boot == boot
    # Whoever got ready once is asked as often again.
    machine.guest = SilentGuest()
    yard.host.hang_up(machine)
    assert not await yard.pool.rest(opened.machine_id)


async def boots_with(yards, silent: int):
    """A yard whose first machines, so many of them, never say hello."""
    yard = yards.make()
    speaking, left = yards.host.new_guest, silent

    def guest(machine):
        nonlocal left
        left -= 1
        return SilentGuest() if left >= 0 else speaking(machine)

    yards.host.new_guest = guest
    return yard


async def test_one_that_is_silent_after_its_boot_is_thrown_away_and_another_booted(yards):
    yard = await boots_with(yards, 1)
    session = await yard.session()
    async with yard.open(session) as opened:
        assert (opened.tier, opened.lost) == (Tier.BOOT, None)
    assert set(yard.host.machines) == {str(opened.machine_id)}


async def test_when_the_second_one_is_silent_too_the_turn_is_told(yards):
    yard = await boots_with(yards, 2)
    session = await yard.session()
    with pytest.raises(MachineLost, match="did not answer"):
        async with yard.open(session):
            pass
    assert yard.host.machines == {}
