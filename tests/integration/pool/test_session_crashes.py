"""A worker that is killed between any two steps of what it does with a session's machine."""

import contextlib

import pytest

from tests.integration.pool.conftest import Yard
from tests.integration.pool.relay import Relay
from tests.integration.pool.test_pools import build
from vmpool.errors import HostFull
from vmpool.machine import MachineState

pytestmark = [pytest.mark.slow, pytest.mark.long]
STANDS = {MachineState.RUNNING, MachineState.RESTING}


@pytest.fixture
async def relay(yards) -> Relay:
    return Relay(yards)


async def begun(relay: Relay):
    """A session, its machine and the boot whose memory is in it."""
    session = await relay.yard.session()
    async with relay.yard.open(session) as opened:
        return session, opened.machine_id, opened.channel.boot


async def is_as_before(yard: Yard, session, machine_id, boot) -> None:
    """It stands, and a turn finds its memory there."""
    assert await yard.state(machine_id) in STANDS
    async with yard.open(session) as opened:
        assert (opened.machine_id, opened.fresh, opened.lost) == (machine_id, False, None)
        assert opened.channel.boot == boot
        done = await opened.channel.run(["echo", "on"], timeout_seconds=10)
        assert done.stdout == b"on\n"


async def test_a_worker_killed_anywhere_in_a_hibernation_loses_no_memory(relay):
    session, machine_id, boot = await begun(relay)

    async def rest(yard: Yard) -> None:
        await yard.pool.rest(machine_id)

    async def after(yard: Yard) -> None:
        await is_as_before(yard, session, machine_id, boot)

    assert await relay.survives(rest, after=after) > 6
    assert set(relay.said(session)) == {"resting"}


async def test_a_worker_killed_anywhere_in_a_resume_loses_no_memory(relay):
    session, machine_id, boot = await begun(relay)

    async def rested(yard: Yard) -> None:
        assert await yard.pool.rest(machine_id)

    async def resume(yard: Yard) -> None:
        await yard.opened(session)

    async def after(yard: Yard) -> None:
        await is_as_before(yard, session, machine_id, boot)

    assert await relay.survives(resume, before=rested, after=after) > 8
    assert set(relay.said(session)) == {"resting"}


async def test_a_worker_killed_anywhere_in_a_first_boot_leaves_one_machine_or_none(relay):
    session = await relay.yard.session()
    seen = set()

    async def none(yard: Yard) -> None:
        machine = await yard.registry.of_session(session)
        if machine is not None:
            seen.add(machine.id)
            assert await yard.pool.destroy(machine.id, "so that it is made again")

    async def boot(yard: Yard) -> None:
        await yard.opened(session)

    async def after(yard: Yard) -> None:
        machine = await yard.registry.of_session(session)
        assert machine is None or machine.state is MachineState.RUNNING
        assert machine is None or machine.id not in seen
        async with yard.open(session) as opened:
            assert (machine is None) == opened.fresh
            assert machine is None or machine.id == opened.machine_id

    assert await relay.survives(boot, before=none, after=after) > 8
    # What was never made is not lost.
    assert "lost" not in relay.said(session)


@pytest.mark.parametrize("state", ["running", "resting"])
async def test_a_worker_killed_anywhere_in_a_removal_removes_and_tells_in_the_end(relay, state):
    session = await relay.yard.session()
    machines = []

    async def asked(yard: Yard) -> None:
        machines.append(await yard.opened(session))
        if state == "resting":
            assert await yard.pool.rest(machines[-1])
        await yard.put(machines[-1], request="destroy")

    async def remove(yard: Yard) -> None:
        await yard.pool.obey()

    async def after(yard: Yard) -> None:
        await yard.pool.obey()
        assert await yard.state(machines[-1]) is MachineState.GONE
        assert (await yard.row(machines[-1])).request is None
        assert relay.said(session).count("gone") >= len(machines)

    assert await relay.survives(remove, before=asked, after=after) > 6


async def test_a_worker_killed_anywhere_while_it_gives_up_a_rest_keeps_or_tells_it(relay):
    session = await relay.yard.session()
    gone = []

    async def rested(yard: Yard) -> None:
        yard.host.full = False
        machine_id = await yard.opened(session)
        assert await yard.pool.rest(machine_id)
        yard.host.full = True

    async def relieve(yard: Yard) -> None:
        assert await yard.pool.relieve()

    async def after(yard: Yard) -> None:
        yard.host.full = False
        machine = await yard.registry.of_session(session)
        if machine is None:
            gone.append(machine)
            assert relay.said(session).count("gone") >= len(gone)
        else:
            assert machine.state is MachineState.RESTING
            assert await yard.opened(session) == machine.id

    assert await relay.survives(relieve, before=rested, after=after) > 6
    assert gone


async def test_a_worker_killed_anywhere_after_a_machine_s_end_leaves_what_is_told_of_it(relay):
    session = await relay.yard.session()
    ended = []

    async def running(yard: Yard) -> None:
        machine_id = await yard.opened(session)
        # Nobody but the next turn finds out.
        yard.pool.care._unwatch(machine_id)
        yard.host.kill(str(machine_id))
        ended.append(machine_id)

    async def turn(yard: Yard) -> None:
        async with yard.open(session) as opened:
            assert opened.fresh
            assert opened.lost

    async def after(yard: Yard) -> None:
        # Its session hears of it from its process, or from the next turn, by the row.
        row = await yard.row(ended[-1])
        assert row.state is MachineState.GONE
        assert "ended" in (row.note or "")

    assert await relay.survives(turn, before=running, after=after) > 12


async def test_a_worker_killed_anywhere_on_a_full_disk_keeps_the_machine(relay):
    session, machine_id, boot = await begun(relay)

    async def rest_and_turn(yard: Yard) -> None:
        yard.host.full = True
        assert not await yard.pool.rest(machine_id)
        with contextlib.suppress(HostFull):
            await yard.opened(session)

    async def after(yard: Yard) -> None:
        yard.host.full = False
        await is_as_before(yard, session, machine_id, boot)

    assert await relay.survives(rest_and_turn, after=after) > 6
    assert set(relay.said(session)) == {"running"}


async def test_a_worker_killed_while_a_clone_works_rests_and_wakes_gives_it_to_nobody_else(yards):
    relay = Relay(yards, cold=1)
    await build(relay.yard)
    await relay.yard.keeper.tend()
    session, machine_id, boot = await begun(relay)

    async def rest_and_wake(yard: Yard) -> None:
        assert await yard.pool.rest(machine_id)
        await yard.opened(session)

    async def after(yard: Yard) -> None:
        other = await yard.opened(await yard.session())
        assert other != machine_id
        assert await yard.pool.destroy(other, "its work is done")
        await is_as_before(yard, session, machine_id, boot)

    assert await relay.survives(rest_and_wake, after=after) > 14
