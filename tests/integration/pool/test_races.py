"""Things that happen at once: claims, turns, removals, looks around, the end of a process."""

import asyncio
from datetime import timedelta

import pytest

from bot.store.ids import new_id
from tests.fakes.driver_trouble import GatedDriver
from tests.integration.pool.test_pools import ROOMY, build, limits, waiting
from vmpool.errors import NoRoom
from vmpool.machine import MachineState, Tier
from vmpool.reconcile import reconcile

CLAIMS = 100


async def test_a_hundred_sessions_at_once_on_a_pool_of_four_share_no_machine(yards):
    yard = yards.make(
        **{**ROOMY, "running_max": 4, "memory_mib_max": 100_000}, demand=limits(hot=2, cold=2)
    )
    await build(yard)
    await yard.keeper.tend()
    pool = {machine.id for machine in await yard.rows.waiting()}
    assert len(pool) == 4
    got: dict[object, object] = {}
    tiers: list[Tier] = []
    refused: list[str] = []
    over = asyncio.Event()

    async def turn(session) -> None:
        try:
            async with yard.open(session) as opened:
                got[session] = opened.machine_id
                tiers.append(opened.tier)
                await over.wait()
        except NoRoom as error:
            refused.append(str(error))
        if len(got) + len(refused) == CLAIMS:
            over.set()

    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for _ in range(CLAIMS):
            group.create_task(turn(new_id()))
    assert len(set(got.values())) == len(got) == 4
    assert len(refused) == CLAIMS - 4
    assert tiers.count(Tier.HOT) == 2
    owners = {machine.id: machine.session_id for machine in await yard.registry.mine()}
    # A session that boots one may be faster than one that wakes the cold one it was given: that
    # one keeps it, and wakes it when there is room.
    beaten = {machine: owner for machine, owner in owners.items() if owner not in got}
    assert len(beaten) == tiers.count(Tier.BOOT)
    assert set(got.values()) | set(beaten) >= pool
    assert len(set(owners.values())) == len(owners) == len(got) + len(beaten)
    assert {owners[machine] for machine in got.values()} == set(got)
    assert {str(machine) for machine in owners} == set(yard.host.machines)


async def test_a_look_around_meddles_with_no_claim_that_began_meanwhile(yards):
    driver = GatedDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    driver.shut = {"find"}
    looking = asyncio.create_task(reconcile(yard.pool, yard.registry, yard.driver))
    await driver.reached.wait()
    # The rows were read. Before the host is looked at, one is handed out and on its way up.
    looked, driver.go = driver.go, asyncio.Event()
    driver.reached.clear()
    driver.shut = {"open_channel"}
    session = await yard.session()
    turn = asyncio.create_task(yard.opened(session))
    await driver.reached.wait()
    looked.set()
    await looking
    driver.go.set()
    machine_id = await turn
    assert await yard.state(machine_id) is MachineState.RUNNING
    assert yard.said(session) == []


async def test_a_look_around_meddles_with_no_machine_that_a_turn_used_meanwhile(yards):
    driver = GatedDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    driver.shut = {"find"}
    looking = asyncio.create_task(reconcile(yard.pool, yard.registry, yard.driver))
    await driver.reached.wait()
    assert await yard.opened(session) == machine_id
    driver.go.set()
    await looking
    assert await yard.opened(session) == machine_id
    assert yard.said(session) == ["resting"]


async def test_an_old_rest_that_a_turn_came_for_in_time_is_not_removed(yards):
    driver = GatedDriver(yards.host)
    yard = yards.make(driver, retention_days=1)
    sessions = {}
    for _ in range(2):
        session = await yard.session()
        machine_id = await yard.opened(session)
        sessions[str(machine_id)] = session
        assert await yard.pool.rest(machine_id)
        row = await yard.row(machine_id)
        await yard.put(machine_id, used_at=row.used_at - timedelta(days=2))
    driver.shut = {"destroy"}
    removing = asyncio.create_task(yard.pool.remove_expired())
    await driver.reached.wait()
    del sessions[driver.waits_for]
    ((kept, session),) = sessions.items()
    async with yard.open(session) as opened:
        assert str(opened.machine_id) == kept
        driver.go.set()
        assert await removing == 1
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"
    assert set(yard.host.machines) == {kept}


async def test_a_waiting_machine_that_is_handed_out_meanwhile_is_not_removed(yards, monkeypatch):
    yard = yards.make(**ROOMY, demand=limits(hot=0, cold=1))
    await build(yard)
    await yard.keeper.tend()
    (machine,) = await yard.rows.waiting()
    session = await yard.session()
    read = yard.registry.get

    async def reads_and_is_late(machine_id):
        found = await read(machine_id)
        monkeypatch.undo()
        assert await yard.opened(session) == machine_id
        return found

    monkeypatch.setattr(yard.registry, "get", reads_and_is_late)
    assert not await yard.pool.destroy(machine.id, "a person asked for it")
    assert await yard.opened(session) == machine.id
    assert yard.said(session) == []


@pytest.mark.parametrize("removed", [False, True])
async def test_a_hot_machine_that_ends_while_it_is_handed_out_is_replaced(
    yards, monkeypatch, removed
):
    yard = yards.make(**ROOMY, demand=limits(hot=1, cold=1))
    await build(yard)
    await yard.keeper.tend()
    claim = yard.rows.claim

    async def claims_what_ends(*args):
        claimed = await claim(*args)
        monkeypatch.undo()
        yard.host.kill(str(claimed[0].id))
        if removed:
            await yard.became(claimed[0].id, MachineState.GONE)
        return claimed

    monkeypatch.setattr(yard.rows, "claim", claims_what_ends)
    async with yard.open(await yard.session()) as opened:
        assert (opened.tier, opened.lost) == (Tier.COLD, None)
    await yard.keeper.tend()
    assert await waiting(yard) == {MachineState.PAUSED: 1, MachineState.RESTING: 1}


async def test_what_is_asked_of_a_machine_on_its_way_up_is_done_when_it_is_up(yards):
    driver = GatedDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    driver.shut = {"open_channel"}
    turn = asyncio.create_task(yard.opened(session))
    await driver.reached.wait()
    machine = await yard.registry.of_session(session)
    await yard.put(machine.id, request="destroy")
    await yard.pool.obey()
    driver.go.set()
    assert await turn == machine.id
    await yard.pool.obey()
    assert await yard.state(machine.id) is MachineState.GONE
    assert yard.said(session) == ["gone"]


async def test_what_people_ask_of_a_machine_whose_rest_was_cut_short_is_done_later(yards):
    yard = yards.make()
    session = await yard.session()
    machine_id = await yard.opened(session)
    # As after a rest of which nobody could write down how it ended.
    yard.pool.care._unwatch(machine_id)
    await yard.reach(machine_id, "hibernating")
    await yard.put(machine_id, request="destroy")
    await yard.pool.obey()
    await reconcile(yard.pool, yard.registry, yard.driver)
    await yard.pool.obey()
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.said(session) == ["gone"]
