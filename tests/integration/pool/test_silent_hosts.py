"""A session whose machine's host is silent for too long goes on elsewhere, from its checkpoint."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.store.blobs import DirectoryBlobs
from bot.work.checkpoint import Checkpoints
from bot.work.machines import MachineWorkplaces
from bot.work.queue import LeaseLost
from bot.work.repository import Repositories
from bot.work.work_queue import HOST_GRACE_SECONDS, WorkQueue
from bot.work.workplace import WorkplaceLost
from tests.integration.pool.conftest import SPEC
from tests.integration.pool.test_workplaces import LIMITS, SIZES, desk_at  # noqa: F401
from vmpool.machine import MachineState
from vmpool.reconcile import reconcile

_SILENT = text("UPDATE host SET seen_at = now() - make_interval(secs => :seconds) WHERE id = :host")
_OVER = text("UPDATE session SET lease_until = now() - interval '1 s', state = 'queued'")


@pytest.fixture
async def desks(desk_at, yards_elsewhere, tmp_path):  # noqa: F811
    """A session that worked here, and the same as the second host has it: its desk there."""
    here = await desk_at()
    town, yard = here.yard.town, yards_elsewhere.make()
    queue = WorkQueue(town.database, owner="w2", host_id=yard.registry.host_id, lease_seconds=30)

    async def image():
        return SPEC.image

    (tmp_path / "work2").mkdir()
    workplaces = MachineWorkplaces(
        town.database,
        yard.pool,
        Repositories(tmp_path / "mirrors2"),
        Checkpoints(town.database, DirectoryBlobs(tmp_path / "blobs"), **LIMITS),
        host_id=yard.registry.host_id,
        image=image,
        sizes=SIZES,
        work=str(tmp_path / "work2"),
    )
    there = replace(
        here,
        yard=yard,
        queue=queue,
        workplaces=workplaces,
        directory=tmp_path / "work2" / "demo",
        steps=[],
    )
    return here, there


async def silent(desk, seconds: float) -> None:
    """Its host has not been heard of for so long, nor its workers."""
    async with desk.yard.town.database.begin() as tx:
        await tx.execute(_SILENT, {"seconds": seconds, "host": desk.yard.registry.host_id})
        await tx.execute(_OVER)


async def worked(desk):
    """The machine of a turn that wrote a file."""
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
        (desk.directory / "new").write_text("kept\n")
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    return turn, place.machine_id


async def test_a_session_waits_for_its_host_as_long_as_its_grace_and_no_longer(desks):
    here, there = desks
    await worked(here)
    await silent(here, HOST_GRACE_SECONDS - 60)
    assert await there.queue.claim() is None
    assert await there.queue.next_due_seconds() is None
    await silent(here, HOST_GRACE_SECONDS + 1)
    assert await there.queue.next_due_seconds() <= 0
    lease = await there.queue.claim()
    assert lease.session_id == here.lease.session_id
    assert lease.host_id == here.yard.registry.host_id


async def test_a_host_that_is_back_in_time_goes_on_as_if_nothing_was(desks):
    here, there = desks
    _, machine_id = await worked(here)
    await silent(here, HOST_GRACE_SECONDS + 1)
    await here.yard.registry.report_host(driver="fake", accelerator="none", boot_id="b")
    assert await there.queue.claim() is None
    here.lease = await here.queue.claim()
    async with here.enter() as again:
        assert again.machine_id == machine_id
        assert again.notices == ()


async def test_it_goes_on_elsewhere_from_its_checkpoint_and_is_told_why_and_what_was_kept(desks):
    here, there = desks
    turn, machine_id = await worked(here)
    await silent(here, HOST_GRACE_SECONDS + 1)
    there.lease = await there.queue.claim()
    # It began in a machine that nobody can reach: it does not begin again by itself.
    with pytest.raises(WorkplaceLost, match="has been silent since 20"):
        async with there.enter(turn):
            pass
    assert await here.yard.state(machine_id) is MachineState.LOST
    async with there.enter() as place:
        assert place.machine_id != machine_id
        assert (there.directory / "new").read_text() == "kept\n"
        (told,) = place.notices
    assert "the old one is gone: its host " in told
    assert "has been silent since 20" in told
    assert "was restored: " in told
    pinned = "SELECT host_id FROM session WHERE id = :id"
    value = await there.yard.town.value(pinned, id=there.lease.session_id)
    assert value == there.yard.registry.host_id


async def test_a_host_that_is_back_too_late_removes_what_it_has_and_says_nothing(desks):
    here, there = desks
    _, machine_id = await worked(here)
    old = here.lease
    await silent(here, HOST_GRACE_SECONDS + 1)
    there.lease = await there.queue.claim()
    async with there.enter() as place:
        pass
    await here.yard.registry.report_host(driver="fake", accelerator="none", boot_id="b")
    said = len(here.yard.told)
    await reconcile(here.yard.pool, here.yard.registry, here.yard.driver)
    assert await here.yard.state(machine_id) is MachineState.GONE
    assert str(machine_id) not in here.yard.host.machines
    assert len(here.yard.told) == said
    # Whoever worked there under the lease of before changes nothing any more.
    with pytest.raises(LeaseLost):
        await here.queue.look(old)
    assert await here.queue.claim() is None
    async with there.enter() as again:
        assert again.machine_id == place.machine_id


async def test_of_many_hosts_one_has_it(desks):
    here, there = desks
    await worked(here)
    await silent(here, HOST_GRACE_SECONDS + 1)
    third = WorkQueue(
        there.yard.town.database,
        owner="w3",
        host_id=there.yard.registry.host_id,
        lease_seconds=30,
    )
    leases = await asyncio.gather(*(queue.claim() for queue in (there.queue, third) * 5))
    assert len([lease for lease in leases if lease is not None]) == 1


async def test_a_claim_whose_lease_is_lost_lets_go_of_nothing(desks):
    here, there = desks
    _, machine_id = await worked(here)
    await silent(here, HOST_GRACE_SECONDS + 1)
    there.lease = await there.queue.claim()
    await silent(here, HOST_GRACE_SECONDS + 1)
    assert await here.queue.claim() is not None
    with pytest.raises(LeaseLost):
        async with there.enter():
            pass
    assert await here.yard.state(machine_id) is MachineState.RUNNING
