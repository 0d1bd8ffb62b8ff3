"""A session's machine through its life, on a host that behaves."""

import asyncio

import pytest

import vmpool.pool
from tests.fakes.driver_trouble import FullDiskDriver, LineDriver, SlowDriver
from tests.integration.pool.test_pools import ROOMY, build, limits
from vmpool.errors import MachineLost, NoRoom, StaleToken
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile


async def test_a_machine_is_made_rests_and_comes_back_with_its_memory(yard):
    session = await yard.session()
    async with yard.open(session) as opened:
        assert opened.fresh
        boot = opened.channel.boot
        machine_id = opened.machine_id
    assert yard.steps == ["creating", "booting"]
    assert await yard.pool.rest(machine_id)
    assert await yard.state(machine_id) is MachineState.RESTING
    assert yard.said(session) == ["resting"]

    async with yard.open(session) as again:
        assert (again.machine_id, again.fresh, again.lost) == (machine_id, False, None)
        assert again.channel.boot == boot
    assert yard.steps[2:] == ["resuming"]
    row = await yard.row(machine_id)
    assert row.generation == 2
    assert row.facts["token"] == 2
    assert {"boot_seconds", "hibernate_seconds", "resume_seconds"} <= row.facts.keys()


async def test_a_running_machine_is_used_again_under_the_newer_token(yard):
    session = await yard.session()
    async with yard.open(session) as first:
        pass
    async with yard.open(session) as second:
        assert second.channel is first.channel
    assert len(yard.steps) == 2
    with pytest.raises(StaleToken):
        async with yard.open(session, token=1):
            pass
    assert (await yard.row(first.machine_id)).facts["token"] == 2


async def test_a_lost_channel_is_made_anew(yard):
    session = await yard.session()
    async with yard.open(session) as first:
        await first.channel.close()
    async with yard.open(session) as second:
        assert second.machine_id == first.machine_id
        assert second.channel is not first.channel
    await second.channel.close()
    assert await yard.pool.rest(first.machine_id)


async def test_two_turns_never_have_a_machine_at_once_and_no_rest_meets_a_turn(yard):
    session = await yard.session()
    async with yard.open(session) as opened:
        waiting = asyncio.create_task(yard.opened(session))
        assert not await yard.pool.rest(opened.machine_id)
        assert not await yard.pool.destroy(opened.machine_id, "no reason")
        assert not waiting.done()
    assert await waiting == opened.machine_id


async def test_who_idled_longest_makes_room_and_who_is_in_use_does_not(yards):
    yard = yards.make(running_max=2)
    first, second, third = [await yard.session() for _ in range(3)]
    machines = [await yard.opened(first), await yard.opened(second)]
    await yard.opened(first)
    machines.append(await yard.opened(third))
    states = [await yard.state(machine_id) for machine_id in machines]
    assert states == [MachineState.RUNNING, MachineState.RESTING, MachineState.RUNNING]

    async with yard.open(first), yard.open(third):
        with pytest.raises(NoRoom, match="2 of 2 machines of this host are in use"):
            await yard.opened(second)
    assert await yard.opened(second) == machines[1]


async def test_idle_machines_rest_and_old_ones_are_removed(yards):
    yard = yards.make(idle_seconds=60, retention_days=1)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest_idle() == 0
    row = await yard.row(machine_id)
    await yard.put(machine_id, used_at=row.used_at.replace(year=row.used_at.year - 1))
    assert await yard.pool.rest_idle() == 1
    assert await yard.pool.remove_expired() == 1
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.host.machines == {}
    async with yard.open(session) as opened:
        assert opened.fresh


async def test_everything_rests_when_the_process_ends(yard):
    machines = [await yard.opened(await yard.session()) for _ in range(2)]
    await yard.pool.rest_all()
    assert [await yard.state(machine_id) for machine_id in machines] == [MachineState.RESTING] * 2


async def test_a_machine_whose_opener_left_is_brought_up_and_can_be_used(yards):
    driver = SlowDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    opening = asyncio.create_task(yard.opened(session))
    await driver.waiting.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    again = asyncio.create_task(yard.opened(session))
    driver.go.set()
    machine_id = await again
    assert await yard.state(machine_id) is MachineState.RUNNING
    assert list(yard.host.machines) == [str(machine_id)]


async def coming_back(yard, driver):
    """A session whose machine is being resumed, though whoever wanted it has left."""
    session = await yard.session()
    driver.go.set()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    assert await yard.pool.rest(opened.machine_id)
    driver.go.clear()
    driver.waiting.clear()
    turn = asyncio.create_task(yard.opened(session))
    await driver.waiting.wait()
    turn.cancel()
    await asyncio.wait([turn])
    return session, opened.machine_id, boot


async def finds_it(yard, session, machine_id, boot):
    """A new process hands the session its machine, memory included."""
    await reconcile(yard.pool, yard.registry, yard.driver)
    yard.tokens = 10
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.lost) == (machine_id, None)
        assert opened.channel.boot == boot
    assert yard.told == []


async def test_a_process_that_ends_lets_a_machine_come_up_first(yards):
    driver = SlowDriver(yards.host)
    yard = yards.make(driver)
    session, machine_id, boot = await coming_back(yard, driver)
    closing = asyncio.create_task(yard.pool.close())
    await asyncio.wait([closing], timeout=0.1)
    assert not closing.done()
    driver.go.set()
    await closing
    assert await yard.state(machine_id) is MachineState.RUNNING
    assert yard.said(session) == ["resting"]
    await finds_it(yards.make(), session, machine_id, boot)


@pytest.mark.parametrize("how", ["in time", "at once"])
async def test_a_process_that_ends_while_a_machine_comes_back_costs_it_nothing(
    yards, monkeypatch, how
):
    monkeypatch.setattr(vmpool.pool, "CLOSE_SECONDS_MAX", 0.1)
    driver = SlowDriver(yards.host)
    yard = yards.make(driver)
    session, machine_id, boot = await coming_back(yard, driver)
    if how == "at once":
        # As the end of an event loop does.
        for opening in yard.pool._opening:
            opening.cancel()
    await yard.pool.close()
    assert await yard.state(machine_id) is MachineState.STARTING
    assert yard.said(session) == ["resting"]
    await finds_it(yards.make(), session, machine_id, boot)


async def test_what_people_ask_is_done_when_nobody_uses_the_machine(yard):
    session = await yard.session()
    async with yard.open(session) as opened:
        await yard.put(opened.machine_id, request="rest")
        await yard.pool.obey()
        assert await yard.state(opened.machine_id) is MachineState.RUNNING
        assert (await yard.row(opened.machine_id)).request == "rest"
    await yard.pool.obey()
    assert await yard.state(opened.machine_id) is MachineState.RESTING
    assert (await yard.row(opened.machine_id)).request is None

    await yard.put(opened.machine_id, request="destroy")
    await yard.pool.obey()
    assert await yard.state(opened.machine_id) is MachineState.GONE
    assert yard.said(session) == ["resting", "gone"]


async def test_a_turn_that_began_in_a_machine_gets_that_one_or_none(yard):
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.destroy(machine_id, "a person asked for it")
    with pytest.raises(MachineLost, match="a person asked for it"):
        async with yard.open(session, only=machine_id):
            pass
    assert yard.host.machines == {}


async def test_locks_of_sessions_that_nobody_works_on_are_forgotten(yard):
    for _ in range(2):
        await yard.pool.rest(await yard.opened(await yard.session()))
    assert len(yard.pool._locks) == 0


async def test_a_rest_that_nobody_could_write_down_is_resumed(yard):
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    # As when the database is away in the moment in which the rest is complete.
    await yard.pool.close()
    await yard.driver.hibernate(str(opened.machine_id))
    await yard.reach(opened.machine_id, "hibernating")
    async with yard.open(session) as again:
        assert (again.machine_id, again.lost) == (opened.machine_id, None)
        assert again.channel.boot == boot
    assert yard.said(session) == []


async def test_who_has_no_room_for_its_rest_is_passed_over(yards):
    driver = FullDiskDriver(yards.host)
    yard = yards.make(driver, running_max=2)
    machines = [await yard.opened(await yard.session()) for _ in range(2)]
    last = await yard.session()
    with pytest.raises(NoRoom):
        await yard.opened(last)
    driver.smaller.append(str(machines[1]))
    await yard.opened(last)
    states = [await yard.state(machine_id) for machine_id in machines]
    assert states == [MachineState.RUNNING, MachineState.RESTING]


async def test_no_memory_is_saved_while_somebody_is_connected_to_its_guest(yards):
    driver = LineDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=1, cold=0))
    await build(yard)
    assert driver.connected == [False], "a template's"
    await yard.keeper.tend()
    session = await yard.session()
    async with yard.open(session) as opened:
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
        login = yard.pool.care.channel(opened.machine_id)
        assert login is not None
    assert await yard.pool.rest(opened.machine_id)
    assert driver.connected == [False, False]
    assert login.lost.is_set()
    assert yard.pool.care.channel(opened.machine_id) is None
    assert await yard.opened(session) == opened.machine_id


async def test_a_turn_that_comes_while_its_machine_goes_to_rest_resumes_it(yards):
    driver = SlowDriver(yards.host)
    driver.go.set()
    yard = yards.make(driver)
    session = await yard.session()
    machine_id = await yard.opened(session)
    driver.go.clear()
    driver.waiting.clear()
    resting = asyncio.create_task(yard.pool.rest(machine_id))
    await driver.waiting.wait()
    turn = asyncio.create_task(yard.opened(session))
    driver.go.set()
    assert await resting
    assert await turn == machine_id
    assert yard.steps == ["creating", "booting", "resuming"]
