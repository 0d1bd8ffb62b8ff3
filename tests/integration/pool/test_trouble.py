"""The same on hosts that misbehave: what the caller gets, what is told and what is left."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest

from tests.fakes.driver_trouble import (
    DiesAtRestDriver,
    DiesLaterDriver,
    FailsAfterRestDriver,
    FailsOnStartDriver,
    ForgetfulDriver,
    FullDiskDriver,
    NeverReadyDriver,
    StuckDriver,
    UnfitToResumeDriver,
)
from tests.integration.pool.test_pools import ROOMY, build, limits
from vmpool.errors import HostFull, HostUnfit, MachineError, MachineLost, NoSignature
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile


async def gone(yard, session, why):
    """Nothing of the session's machine is left, and the session knows why."""
    rows = await yard.town.rows(
        "SELECT state, note FROM machine WHERE session_id = :id", id=session
    )
    assert rows
    for state, note in rows:
        assert state == "gone"
        assert why in note
    assert yard.host.machines == {}


async def test_a_guest_that_never_answers_is_lost_after_the_limit(yards):
    yard = yards.make(NeverReadyDriver(yards.host), boot_seconds=0.3)
    session = await yard.session()
    with pytest.raises(MachineLost):
        await yard.opened(session)
    assert yard.said(session) == []  # whoever opened it tells why
    await gone(yard, session, "it did not come up")


async def test_a_machine_that_can_not_start_is_lost_with_the_reason(yards):
    yard = yards.make(FailsOnStartDriver(yards.host))
    session = await yard.session()
    with pytest.raises(MachineLost, match="could not set up guest memory"):
        await yard.opened(session)
    await gone(yard, session, "could not set up guest memory")


async def test_a_machine_that_dies_while_it_is_entered_is_replaced_and_nobody_hears_of_it(yards):
    yard = yards.make(DiesLaterDriver(yards.host), boot_seconds=1)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert set(yard.host.machines) == {str(machine_id)}
    assert yard.said(session) == []


async def test_a_machine_that_dies_later_is_told_and_followed_by_a_new_one(yard):
    session = await yard.session()
    machine_id = await yard.opened(session)
    yard.host.kill(str(machine_id))
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == ["lost"]
    assert "SIGKILL" in yard.why()
    async with yard.open(session) as opened:
        assert opened.fresh
        assert opened.machine_id != machine_id


async def test_a_rest_that_is_spoilt_is_refused_and_a_new_machine_says_why(yard):
    session = await yard.session()
    machine_id = await yard.opened(session)
    await yard.pool.rest(machine_id)
    yard.host.machines[str(machine_id)].broken = "its memory is 4096 bytes short"
    async with yard.open(session) as opened:
        assert opened.fresh
        assert "4096 bytes short" in (opened.lost or "")
    assert yard.said(session) == ["resting"], "the turn tells it"


async def test_a_full_disk_keeps_a_machine_up_and_is_told_once(yards):
    yard = yards.make(FullDiskDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    for _ in range(2):
        assert not await yard.pool.rest(machine_id)
        assert await yard.state(machine_id) is MachineState.RUNNING
    assert yard.said(session) == ["running"]
    assert "no room for a machine's memory" in yard.why()
    assert await yard.opened(session) == machine_id


async def test_jobs_go_on_at_once_in_a_machine_that_could_not_rest(yards):
    yard = yards.make(FullDiskDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert not await yard.pool.rest(machine_id)
    channel = yard.pool.care.channel(machine_id)
    # A guest whose jobs stand still starts none.
    assert (await channel.run(["echo", "on"], timeout_seconds=20)).stdout == b"on\n"


async def test_a_full_disk_makes_no_machine_and_leaves_nothing(yards):
    yard = yards.make()
    yards.host.full = True
    session = await yard.session()
    with pytest.raises(HostFull):
        await yard.opened(session)
    await gone(yard, session, "no room for a machine's disk")


async def test_what_a_driver_forgot_to_destroy_is_found_and_removed(yards):
    yard = yards.make(ForgetfulDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert await yard.pool.destroy(machine_id, "a person asked for it")
    assert list(yard.host.machines) == [str(machine_id)]
    assert (await reconcile(yard.pool, yard.registry, yard.driver))["remove"] == 1
    assert yard.host.machines == {}


async def test_a_machine_that_dies_while_it_goes_to_rest_is_lost(yards):
    yard = yards.make(DiesAtRestDriver(yards.host))
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert not await yard.pool.rest(machine_id)
    assert yard.said(session) == ["lost"]
    assert "it ended while going to rest" in yard.why()
    await gone(yard, session, "it ended while going to rest")


@pytest.mark.parametrize(
    "trouble", [OSError("read-only file system"), TimeoutError(), MachineError("it hangs")]
)
async def test_a_rest_that_is_complete_is_kept_whatever_fails_after_it(yards, trouble):
    driver = FailsAfterRestDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    async with yard.open(session) as opened:
        boot = opened.channel.boot
    driver.trouble = trouble
    assert await yard.pool.rest(opened.machine_id)
    assert yard.said(session) == ["resting"]
    async with yard.open(session) as again:
        assert (again.machine_id, again.lost) == (opened.machine_id, None)
        assert again.channel.boot == boot


@pytest.mark.parametrize("state", ["lost", "gone"])
async def test_a_session_that_could_not_be_told_is_told_by_the_next_look_around(yard, state):
    session = await yard.session()
    machine_id = await yard.opened(session)
    yard.deaf.set()
    if state == "lost":
        await yard.pool.care.lose(machine_id, "its process was ended")
    else:
        assert await yard.pool.destroy(machine_id, "a person asked for it")
    assert (yard.said(session), yard.host.machines) == ([], {})
    async with yard.open(session) as opened:
        assert opened.fresh, "nobody waits for that"
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert await yard.state(machine_id) is MachineState.REMOVING
    yard.deaf.clear()
    for _ in range(2):
        await reconcile(yard.pool, yard.registry, yard.driver)
        assert yard.said(session) == [state]
    assert await yard.state(machine_id) is MachineState.GONE
    assert yard.why() in {"its process was ended", "a person asked for it"}


class NobodySigns:
    """A signer that is away."""

    async def authorities(self) -> tuple[str, str]:
        raise NoSignature("nobody signs logins now")

    async def sign(self, *args: str, **known: object) -> str:
        raise NoSignature("nobody signs logins now")


@pytest.mark.parametrize("state", ["running", "resting"])
@pytest.mark.parametrize("insist", [False, True])
async def test_while_nobody_signs_no_machine_is_touched(yard, monkeypatch, state, insist):
    session = await yard.session()
    machine_id = await yard.opened(session)
    if state == "resting":
        assert await yard.pool.rest(machine_id)
    else:
        await yard.pool.care.channel(machine_id).close()
    order = dataclasses.replace(yard.order, size="medium", insist=insist)
    with monkeypatch.context() as patch:
        patch.setattr(yard.pool.care._authority, "_signer", NobodySigns())
        with pytest.raises(NoSignature):
            async with yard.open(session, order=order):
                pass
    assert await yard.state(machine_id) is MachineState(state)
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.lost) == (machine_id, None)


@pytest.mark.parametrize("stuck", [0, 1])
@pytest.mark.parametrize("how", ["asked", "expired"])
async def test_a_machine_that_can_not_be_removed_keeps_no_other_from_it(yards, how, stuck):
    driver = StuckDriver(yards.host)
    yard = yards.make(driver, retention_days=1)
    machines = [await yard.opened(await yard.session()) for _ in range(2)]
    driver.stuck.add(str(machines[stuck]))
    if how == "asked":
        for machine_id in machines:
            await yard.put(machine_id, request="destroy")
        await yard.pool.obey()
    else:
        for machine_id in machines:
            assert await yard.pool.rest(machine_id)
            used_at = (await yard.row(machine_id)).used_at
            await yard.put(machine_id, used_at=used_at - timedelta(days=2))
        assert await yard.pool.remove_expired() == 1
    assert set(yard.host.machines) == {str(machines[stuck])}
    driver.stuck.clear()
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert yard.host.machines == {}


async def test_a_session_that_nobody_can_say_is_clean_keeps_no_other_from_resting(yards):
    yard = yards.make(idle_seconds=0)
    sessions = [await yard.session() for _ in range(2)]
    machines = [await yard.opened(session) for session in sessions]

    async def may_rest(session) -> bool:
        if session in unknown:
            raise ConnectionError("nobody answers")
        return True

    unknown = {sessions[0]}
    yard.pool._may_rest = may_rest
    assert await yard.pool.rest_idle() == 1
    assert await yard.state(machines[0]) is MachineState.RUNNING
    assert await yard.state(machines[1]) is MachineState.RESTING


async def test_a_rest_that_is_put_off_is_asked_for_again(yard):
    machine_id = await yard.opened(await yard.session())
    clean = False

    async def may_rest(session) -> bool:
        return clean

    yard.pool._may_rest = may_rest
    await yard.put(machine_id, request="rest")
    await yard.pool.obey()
    assert (await yard.row(machine_id)).request == "rest"
    clean = True
    await yard.pool.obey()
    assert await yard.state(machine_id) is MachineState.RESTING
    assert (await yard.row(machine_id)).request is None


@pytest.mark.parametrize("yields", range(0, 40, 4))
async def test_a_turn_that_meets_the_end_of_its_machine_gets_a_new_one(yard, yields):
    session = await yard.session()
    machine_id = await yard.opened(session)
    yard.host.kill(str(machine_id))
    for _ in range(yields):
        await asyncio.sleep(0)
    async with yard.open(session) as opened:
        assert opened.fresh
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == ["lost"]


@pytest.mark.parametrize("yields", range(0, 40, 4))
async def test_a_rest_that_meets_the_end_of_its_machine_is_no_rest(yard, yields):
    session = await yard.session()
    machine_id = await yard.opened(session)
    yard.host.kill(str(machine_id))
    for _ in range(yields):
        await asyncio.sleep(0)
    assert not await yard.pool.rest(machine_id)
    await yard.became(machine_id, MachineState.GONE)
    assert yard.said(session) == ["lost"]


async def test_a_machine_that_comes_back_after_a_full_disk_is_told_anew(yards):
    driver = FullDiskDriver(yards.host)
    yard = yards.make(driver)
    session = await yard.session()
    machine_id = await yard.opened(session)
    assert not await yard.pool.rest(machine_id)
    driver.smaller.append(str(machine_id))
    assert await yard.pool.rest(machine_id)
    driver.smaller.clear()
    await yard.opened(session)
    assert not await yard.pool.rest(machine_id)
    assert yard.said(session) == ["running", "resting", "running"]


@pytest.mark.parametrize("claimed", [True, False])
async def test_a_host_that_lacks_something_for_a_while_costs_no_memory(yards, claimed):
    driver = UnfitToResumeDriver(yards.host)
    yard = yards.make(driver, **ROOMY, demand=limits(hot=0, cold=1))
    session = await yard.session()
    if claimed:
        await build(yard)
        await yard.keeper.tend()
    else:
        assert await yard.pool.rest(await yard.opened(session))
    driver.lacking = True
    with pytest.raises(HostUnfit, match="slots"):
        await yard.opened(session)
    machine = await yard.registry.of_session(session)
    assert machine is not None
    assert machine.state is MachineState.RESTING
    assert "lost" not in yard.said(session)
    driver.lacking = False
    async with yard.open(session) as opened:
        assert opened.machine_id == machine.id
