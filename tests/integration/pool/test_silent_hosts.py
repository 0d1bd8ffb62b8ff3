"""A session whose machine's host is silent for too long goes on elsewhere, from its checkpoint."""

import asyncio
import random
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.store.blobs import DirectoryBlobs
from bot.work.checkpoint import Checkpoints
from bot.work.machines import MachineWorkplaces
from bot.work.queue import LeaseLost
from bot.work.repository import Repositories
from bot.work.work_queue import WorkQueue
from bot.work.workplace import HostAwaited, HostBack, WorkplaceLost
from tests.integration.pool.conftest import SPEC
from tests.integration.pool.desks import LIMITS, SIZES, Desk, open_desk
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile
from vmpool.silence import BREAK_SECONDS, HOST_GRACE_SECONDS

_SILENT = text(
    """
    UPDATE host SET seen_at = clock_timestamp() - make_interval(secs => :seconds),
           heard_since = least(heard_since, clock_timestamp() - make_interval(secs => :seconds))
     WHERE id = :host
    """
)
_OVER = text("UPDATE session SET lease_until = now() - interval '1 s', state = 'queued'")
LARGE_BYTES = LIMITS["inline_bytes_max"] * 2
"""Of a file that makes a checkpoint too large for its row."""
TOLD = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice'"


@dataclass
class Hosts:
    """The host where a session worked, and the same session as other hosts have it."""

    here: Desk
    there: Desk
    third: Desk

    async def are_heard(self) -> None:
        for desk in (self.there, self.third):
            await desk.yard.report()

    async def gone(self, seconds: float = HOST_GRACE_SECONDS + 1) -> None:
        """The first host has not been heard of for so long, nor its workers; others look."""
        async with self.here.yard.town.database.begin() as tx:
            host_id = self.here.yard.registry.host_id
            await tx.execute(_SILENT, {"seconds": seconds, "host": host_id})
            await tx.execute(_OVER)
        await self.are_heard()
        await self.there.yard.registry.give_up_silent(HOST_GRACE_SECONDS)


@pytest.fixture
async def hosts(yards, town, yard_elsewhere, tmp_path) -> Hosts:
    here = await open_desk(yards, town, tmp_path)

    async def image():
        return SPEC.image

    async def another(name: str, blobs: Path) -> Desk:
        yard, work = await yard_elsewhere(), tmp_path / name / "work"
        work.mkdir(parents=True)
        host_id = yard.registry.host_id
        checkpoints = Checkpoints(town.database, DirectoryBlobs(blobs), **LIMITS)
        workplaces = MachineWorkplaces(
            town.database,
            yard.pool,
            Repositories(tmp_path / name / "mirrors"),
            checkpoints,
            host_id=host_id,
            image=image,
            sizes=SIZES,
            work=str(work),
        )
        queue = WorkQueue(town.database, owner=name, host_id=host_id, lease_seconds=30)
        return replace(
            here,
            yard=yard,
            queue=queue,
            workplaces=workplaces,
            checkpoints=checkpoints,
            directory=work / "demo",
            steps=[],
            told=[],
        )

    shared = tmp_path / "blobs"
    return Hosts(here, await another("there", shared), await another("third", tmp_path / "own"))


async def worked(desk: Desk, *, size: int = 5):
    """The turn, and its machine, that wrote a file."""
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
        (desk.directory / "new").write_bytes(random.Random(0).randbytes(size))
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    return turn, place.machine_id


async def came_along(desk: Desk) -> bool:
    """Whether the file is in the session's machine on that host."""
    return (desk.directory / "new").exists()


async def test_a_session_waits_for_its_host_as_long_as_its_grace_and_no_longer(hosts):
    await worked(hosts.here)
    await hosts.gone(HOST_GRACE_SECONDS - 60)
    assert await hosts.there.queue.claim() is None
    assert await hosts.there.queue.next_due_seconds() is None
    await hosts.gone()
    assert await hosts.there.queue.next_due_seconds() <= 0
    lease = await hosts.there.queue.claim()
    assert lease.session_id == hosts.here.lease.session_id
    assert lease.host_id == hosts.here.yard.registry.host_id


async def test_a_host_is_given_up_once_and_not_while_nobody_could_hear_it(hosts):
    there = hosts.there.yard.registry
    await hosts.gone(HOST_GRACE_SECONDS - 60)
    (here,) = await there.give_up_silent(HOST_GRACE_SECONDS - 61)
    assert here.id == hosts.here.yard.registry.host_id
    assert await there.give_up_silent(HOST_GRACE_SECONDS - 61) == []
    # The database was away: nobody could report, and this one was back first.
    async with hosts.there.yard.town.database.begin() as tx:
        for desk in (hosts.here, hosts.there, hosts.third):
            host_id = desk.yard.registry.host_id
            await tx.execute(_SILENT, {"seconds": 9 * HOST_GRACE_SECONDS, "host": host_id})
        await tx.execute(text("UPDATE host SET given_up_at = NULL"))
    assert await there.give_up_silent(HOST_GRACE_SECONDS) == []
    await hosts.there.yard.report()
    assert await there.give_up_silent(HOST_GRACE_SECONDS) == []


async def test_reports_without_a_break_count_from_the_first_and_end_being_given_up(hosts):
    yard = hosts.there.yard
    row = "SELECT heard_since, given_up_at FROM host WHERE id = :id"

    async def reported(after: float):
        async with yard.town.database.begin() as tx:
            host_id = yard.registry.host_id
            await tx.execute(_SILENT, {"seconds": after, "host": host_id})
            await tx.execute(text("UPDATE host SET given_up_at = now()"))
        ((before, _),) = await yard.town.rows(row, id=yard.registry.host_id)
        await yard.report()
        ((since, given_up_at),) = await yard.town.rows(row, id=yard.registry.host_id)
        assert given_up_at is None
        return since == before

    assert await reported(BREAK_SECONDS - 10)
    assert not await reported(BREAK_SECONDS + 10)


async def test_a_host_that_is_back_in_time_goes_on_as_if_nothing_was(hosts):
    _, machine_id = await worked(hosts.here)
    await hosts.gone(HOST_GRACE_SECONDS - 60)
    await hosts.here.yard.report()
    assert await hosts.there.queue.claim() is None
    hosts.here.lease = await hosts.here.queue.claim()
    async with hosts.here.enter() as again:
        assert again.machine_id == machine_id
        assert again.notices == ()


async def test_a_host_that_is_back_after_its_grace_before_anybody_took_over_goes_on(hosts):
    _, machine_id = await worked(hosts.here)
    await hosts.gone()
    await hosts.here.yard.report()
    assert await hosts.there.queue.claim() is None
    hosts.here.lease = await hosts.here.queue.claim()
    async with hosts.here.enter() as again:
        assert again.machine_id == machine_id


async def test_a_host_that_is_back_between_claim_and_takeover_keeps_its_machine(hosts):
    _, machine_id = await worked(hosts.here)
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    await hosts.here.yard.report()
    with pytest.raises(HostBack):
        async with hosts.there.enter():
            pass
    assert await hosts.here.yard.state(machine_id) is MachineState.RUNNING
    await hosts.there.queue.hand_back(hosts.there.lease)
    assert await hosts.there.queue.claim() is None
    hosts.here.lease = await hosts.here.queue.claim()
    async with hosts.here.enter() as again:
        assert again.machine_id == machine_id


async def test_it_goes_on_elsewhere_from_its_checkpoint_and_is_told_why_and_what_was_kept(hosts):
    _, machine_id = await worked(hosts.here)
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    async with hosts.there.enter() as place:
        assert place.machine_id != machine_id
        assert await came_along(hosts.there)
        (told,) = place.notices
    assert "the old one is gone: its host here has been silent since 20" in told
    assert "was restored: " in told
    assert "It is what the turn for “!work” left." in told
    assert "Not kept: running processes, and files that git ignores" in told
    assert await hosts.here.yard.state(machine_id) is MachineState.LOST
    pinned = "SELECT host_id FROM session WHERE id = :id"
    value = await hosts.there.yard.town.value(pinned, id=hosts.there.lease.session_id)
    assert value == hosts.there.yard.registry.host_id
    async with hosts.there.enter() as again:
        assert again.notices == ()


async def test_a_turn_that_began_on_the_silent_host_does_not_begin_again_by_itself(hosts):
    turn, machine_id = await worked(hosts.here)
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    with pytest.raises(WorkplaceLost, match="its host here has been silent since 20"):
        async with hosts.there.enter(turn):
            pass
    assert await hosts.here.yard.state(machine_id) is MachineState.LOST
    assert hosts.there.yard.host.machines == {}


async def test_a_host_that_is_back_too_late_removes_what_it_has_and_says_nothing(hosts):
    _, machine_id = await worked(hosts.here)
    old = hosts.here.lease
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    async with hosts.there.enter() as place:
        pass
    await hosts.here.yard.report()
    said = len(hosts.here.yard.told)
    yard = hosts.here.yard
    await reconcile(yard.pool, yard.registry, yard.driver)
    assert await yard.state(machine_id) is MachineState.GONE
    assert "silent since" in (await yard.row(machine_id)).note
    assert str(machine_id) not in yard.host.machines
    assert len(yard.told) == said
    # Whoever worked there under the lease of before changes nothing any more.
    with pytest.raises(LeaseLost):
        await hosts.here.queue.look(old)
    assert await hosts.here.queue.claim() is None
    async with hosts.there.enter() as again:
        assert again.machine_id == place.machine_id


async def test_a_machine_that_was_let_go_of_is_removed_though_somebody_visits_it(hosts):
    _, machine_id = await worked(hosts.here)
    yard = hosts.here.yard
    async with yard.pool.visits.enter(hosts.here.lease.session_id, hosts.here.yard.steps.append):
        await hosts.gone()
        hosts.there.lease = await hosts.there.queue.claim()
        async with hosts.there.enter():
            pass
        await reconcile(yard.pool, yard.registry, yard.driver)
        assert await yard.state(machine_id) is MachineState.GONE


async def test_of_two_other_hosts_one_takes_it_over(hosts):
    await worked(hosts.here)
    await hosts.gone()
    desks = (hosts.there, hosts.third)
    leases = await asyncio.gather(*(desk.queue.claim() for desk in desks * 5))
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_a_takeover_whose_lease_is_lost_lets_go_of_nothing(hosts):
    _, machine_id = await worked(hosts.here)
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    await hosts.gone()
    assert await hosts.third.queue.claim() is not None
    with pytest.raises(LeaseLost):
        async with hosts.there.enter():
            pass
    assert await hosts.here.yard.state(machine_id) is MachineState.RUNNING


async def test_a_host_that_was_killed_before_it_had_pinned_the_session_has_its_machine_lost_too(
    hosts,
):
    _, machine_id = await worked(hosts.here)
    async with hosts.here.yard.town.database.begin() as tx:
        await tx.execute(text("UPDATE session SET host_id = NULL"))
        await tx.execute(_OVER)
    hosts.there.lease = await hosts.there.queue.claim()
    with pytest.raises(HostBack):
        async with hosts.there.enter():
            pass
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    async with hosts.there.enter() as place:
        assert place.machine_id != machine_id
        assert await came_along(hosts.there)


async def test_a_checkpoint_that_only_the_silent_host_has_is_waited_for_and_that_is_told_once(
    hosts,
):
    third, town = hosts.third, hosts.third.yard.town
    _, machine_id = await worked(hosts.here, size=LARGE_BYTES)
    for _ in range(2):
        await hosts.gone()
        third.lease = await third.queue.claim()
        with pytest.raises(HostAwaited):
            async with third.enter():
                pass
    assert await hosts.here.yard.state(machine_id) is MachineState.RUNNING
    ((told,),) = await town.rows(TOLD)
    assert "can't be read from another host, so the prompt is kept" in told
    # It is back: nothing was lost.
    await third.queue.put_off(third.lease, seconds=0)
    await hosts.here.yard.report()
    hosts.here.lease = await hosts.here.queue.claim()
    async with hosts.here.enter() as again:
        assert again.machine_id == machine_id
        assert again.notices == ()


async def test_with_a_shared_directory_a_large_checkpoint_goes_on_elsewhere(hosts):
    await worked(hosts.here, size=LARGE_BYTES)
    await hosts.gone()
    hosts.there.lease = await hosts.there.queue.claim()
    async with hosts.there.enter() as place:
        assert await came_along(hosts.there)
        assert "was restored: " in place.notices[0]


async def test_an_operator_who_destroys_the_machine_lets_the_session_begin_anew(hosts):
    third = hosts.third
    _, machine_id = await worked(hosts.here, size=LARGE_BYTES)
    await hosts.here.yard.put(machine_id, request="destroy")
    await hosts.gone()
    third.lease = await third.queue.claim()
    async with third.enter() as place:
        assert not await came_along(third)
        (told,) = place.notices
    assert "could not be read: the repository was cloned anew" in told
    assert await hosts.here.yard.state(machine_id) is MachineState.LOST
