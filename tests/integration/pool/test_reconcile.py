"""A new process makes rows and host agree: each thing it may find, and what it does about it."""

from dataclasses import replace

import pytest

import vmpool.pool
from bot.store.ids import new_id
from tests.fakes.driver_trouble import HungDriver, SilentGuest
from tests.integration.pool.conftest import SPEC
from vmpool.decide import Remedy
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile
from vmpool.registry import IllegalMove, Registry


@pytest.fixture
async def before(yards):
    """A session with a machine that an earlier process left running."""
    yard = yards.make()
    session = await yard.session()
    machine_id = await yard.opened(session)
    await yard.pool.close()
    return session, machine_id


async def repaired(yards):
    """What a new process did, and its yard."""
    yard = yards.make()
    return yard, +await reconcile(yard.pool, yard.registry, yard.driver)


async def test_a_running_machine_is_adopted_and_watched(yards, before):
    session, machine_id = before
    yard, done = await repaired(yards)
    assert done == {Remedy.ADOPT: 1}
    assert yard.told == []
    yard.host.kill(str(machine_id))
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == ["lost"]


@pytest.mark.parametrize("how", ["hangs", "is given up"])
async def test_a_hypervisor_that_hangs_keeps_no_other_machine_from_being_taken_over(
    yards, before, monkeypatch, how
):
    monkeypatch.setattr(vmpool.pool, "UNPAUSE_SECONDS_MAX", 0.1)
    _, machine_id = before
    early = yards.make(running_max=5)
    honest = await early.session()
    runs = await early.opened(honest)
    await early.pool.close()
    await early.driver.create(str(new_id()), SPEC)
    driver = HungDriver(yards.host)
    driver.hung[str(machine_id)] = how
    yard = yards.make(driver)
    done = +await reconcile(yard.pool, yard.registry, yard.driver)
    assert done == {Remedy.ADOPT: 2, Remedy.REMOVE: 1}
    assert set(yards.host.machines) == {str(machine_id), str(runs)}
    assert yard.pool.care.watches(runs)
    assert await yard.state(machine_id) is MachineState.RUNNING
    driver.hung.clear()
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert yard.pool.care.watches(machine_id)
    assert yard.told == []


async def test_a_machine_that_ends_while_it_is_taken_over_is_told_to_its_session(yards, before):
    session, machine_id = before
    driver = HungDriver(yards.host)
    driver.hung[str(machine_id)] = "ends"
    yard = yards.make(driver)
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.said(session) == ["lost"]
    assert yards.host.machines == {}


@pytest.mark.parametrize("turns_before", [0, 1])
async def test_an_adopted_machine_rests_though_a_turn_in_it_never_ended(yards, turns_before):
    yard = yards.make()
    session = await yard.session()
    for _ in range(turns_before):
        await yard.opened(session)
    async with yard.open(session, token=5) as opened:
        # As after a kill: nothing of what follows a turn was done.
        await yard.pool.close()
        later, _ = await repaired(yards)
        assert await later.pool.rest(opened.machine_id)
    assert later.said(session) == ["resting"]


@pytest.mark.parametrize("state", ["starting", "hibernating"])
async def test_a_machine_that_runs_though_its_row_was_on_the_way_goes_on(yards, before, state):
    session, machine_id = before
    await yards.make().reach(machine_id, state)
    yard, done = await repaired(yards)
    assert done == {Remedy.ADOPT: 1}
    assert await yard.opened(session) == machine_id


async def test_jobs_that_were_to_rest_go_on_when_their_process_ended_before_the_rest(yards):
    yard = yards.make()
    session = await yard.session()
    async with yard.open(session) as opened:
        await opened.channel.freeze()
    await yard.pool.close()
    await yard.reach(opened.machine_id, "hibernating")
    yard, done = await repaired(yards)
    assert done == {Remedy.ADOPT: 1}
    channel = yard.pool.care.channel(opened.machine_id)
    # A guest whose jobs stand still starts none.
    assert (await channel.run(["echo", "on"], timeout_seconds=20)).stdout == b"on\n"


@pytest.fixture
async def resumed(yards):
    """A session whose machine was resumed by a process that ended before the guest was thawed."""
    yard = yards.make()
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.rest(machine_id)
    await yard.pool.close()
    await yard.registry.move(machine_id, MachineState.STARTING)
    await yard.driver.resume(str(machine_id))
    return session, machine_id


async def test_a_machine_that_was_resumed_is_made_its_own_before_it_is_left_to_itself(
    yards, resumed
):
    session, machine_id = resumed
    yard, done = await repaired(yards)
    assert done == {Remedy.ADOPT: 1}
    channel = yard.pool.care.channel(machine_id)
    assert channel is not None
    assert await yard.state(machine_id) is MachineState.RUNNING
    yard.tokens = 1
    async with yard.open(session) as opened:
        assert opened.machine_id == machine_id
        assert opened.channel is channel


async def test_a_machine_that_can_not_be_made_its_own_is_lost_with_the_reason(yards, resumed):
    session, machine_id = resumed
    yards.host.machines[str(machine_id)].guest = SilentGuest()
    yard, done = await repaired(yards)
    assert done == {Remedy.ADOPT: 1}
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.said(session) == ["lost"]
    assert "it did not come up" in yard.why()
    assert yards.host.machines == {}


@pytest.mark.parametrize("by", ["reconcile", "turn", "turn of another size"])
@pytest.mark.parametrize("left", ["row", "files", "files of a boot that was begun"])
async def test_a_machine_that_was_never_made_whole_is_removed_without_a_word(yards, left, by):
    early = yards.make()
    session = await early.session()
    machine = await early.registry.add(early.order, session_id=session)
    if left != "row":
        await early.driver.create(str(machine.id), SPEC)
    if left == "files of a boot that was begun":
        await early.registry.move(machine.id, MachineState.STARTING)
    yard = yards.make()
    order = yard.order
    if by == "reconcile":
        await reconcile(yard.pool, yard.registry, yard.driver)
    elif by == "turn of another size":
        order = replace(order, size="large", insist=True)
    async with yard.open(session, order=order) as opened:
        assert (opened.fresh, opened.lost) == (True, None)
    assert await yard.state(machine.id) is MachineState.GONE
    assert set(yards.host.machines) == {str(opened.machine_id)}
    assert yard.said(session) == []


@pytest.mark.parametrize("state", ["running", "hibernating", "starting"])
async def test_a_complete_rest_is_kept_whatever_the_row_says(yards, before, state):
    session, machine_id = before
    early = yards.make()
    await early.driver.hibernate(str(machine_id))
    await early.reach(machine_id, state)
    yard, done = await repaired(yards)
    assert done == {Remedy.RESTED: 1}
    assert await yard.state(machine_id) is MachineState.RESTING
    assert await yard.opened(session) == machine_id


@pytest.mark.parametrize("state", ["starting", "running", "hibernating", "resting"])
async def test_a_machine_that_is_gone_is_told_to_its_session(yards, before, state):
    session, machine_id = before
    early = yards.make()
    await early.driver.destroy(str(machine_id))
    await early.reach(machine_id, state)
    yard, done = await repaired(yards)
    assert done == {Remedy.LOSE: 1}
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.said(session) == ["lost"]
    assert "ended while nobody watched" in yard.why()


async def test_a_spoilt_rest_is_lost_with_its_reason(yards, before):
    session, machine_id = before
    early = yards.make()
    await early.driver.hibernate(str(machine_id))
    yards.host.machines[str(machine_id)].broken = "its memory was altered"
    await early.reach(machine_id, "resting")
    yard, done = await repaired(yards)
    assert done == {Remedy.LOSE: 1}
    assert yard.said(session) == ["lost"]
    assert yard.why() == "its memory was altered"
    assert yards.host.machines == {}


async def test_a_machine_that_was_never_finished_is_not_trusted(yards):
    early = yards.make()
    session = await early.session()
    row = await early.registry.add(early.order, session_id=session)
    await early.driver.create(str(row.id), SPEC)
    await early.driver.boot(str(row.id))
    await early.driver.hibernate(str(row.id))
    yard, _ = await repaired(yards)
    assert await yard.state(row.id) is MachineState.GONE
    assert yard.said(session) == []
    assert yards.host.machines == {}


@pytest.mark.parametrize("state", ["lost", "removing"])
async def test_a_removal_is_finished(yards, before, state):
    _, machine_id = before
    await yards.make().reach(machine_id, state)
    yard, done = await repaired(yards)
    assert done == {Remedy.REMOVE: 1}
    assert await yard.state(machine_id) is MachineState.GONE
    assert yards.host.machines == {}


@pytest.mark.parametrize("state", ["lost", "removing"])
async def test_a_removal_whose_files_are_gone_is_noted(yards, before, state):
    _, machine_id = before
    early = yards.make()
    await early.driver.destroy(str(machine_id))
    await early.reach(machine_id, state)
    yard, done = await repaired(yards)
    assert done == {Remedy.GONE: 1}
    assert await yard.state(machine_id) is MachineState.GONE


async def test_nothing_leaks_what_no_row_owns_is_removed(yards, before):
    _, machine_id = before
    early = yards.make()
    await early.driver.create(str(new_id()), SPEC)
    await early.driver.create("not-an-id", SPEC)
    _, done = await repaired(yards)
    assert done == {Remedy.REMOVE: 2, Remedy.ADOPT: 1}
    assert list(yards.host.machines) == [str(machine_id)]


async def test_what_agrees_is_left_alone(yards, before):
    _, machine_id = before
    early = yards.make()
    await early.pool.rest(machine_id)
    yard, done = await repaired(yards)
    assert done == {Remedy.NONE: 1}
    assert yard.told == []


async def test_a_machine_that_a_turn_holds_is_not_repaired(yards):
    yard = yards.make()
    async with yard.open(await yard.session()):
        assert not await reconcile(yard.pool, yard.registry, yard.driver)


async def test_fenced_a_row_of_another_host_is_not_touched(yards, before):
    session, machine_id = before
    yard = yards.make()
    other = Registry(yard.town.database.session, new_id(), new_id)
    with pytest.raises(IllegalMove, match="belongs to another host"):
        await other.move(machine_id, MachineState.HIBERNATING)
    await yard.put(machine_id, request="rest")
    await other.used(machine_id, 99)
    await other.answered(machine_id)
    row = await yard.row(machine_id)
    assert (row.state, row.request, row.facts["token"]) == (MachineState.RUNNING, "rest", 1)
    assert await other.of_session(session) is None
    assert await other.requested() == []


async def test_the_highest_token_that_a_guest_saw_is_kept(yards, before):
    _, machine_id = before
    yard = yards.make()
    await yard.registry.used(machine_id, 7)
    await yard.registry.used(machine_id, 3)
    assert (await yard.row(machine_id)).facts["token"] == 7
