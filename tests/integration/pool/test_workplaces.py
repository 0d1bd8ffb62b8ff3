"""A session's way to its machine, with the repository in it, over pool, rows and a guest."""

import dataclasses
import shutil
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from bot.errors import OnaError
from bot.store.states import TurnState
from bot.work.lease import OpenTurn
from bot.work.workplace import NoCapacity, WorkplaceLost
from tests.fakes import git_tree
from tests.integration.pool.desks import SIZES, Desk, open_desk
from vmpool.warm.building import StepFailed


@pytest.fixture
def desk_at(yards, town, tmp_path) -> Callable:
    return partial(open_desk, yards, town, tmp_path)


async def test_after_an_upgrade_a_session_is_told_once_that_its_machine_is_another(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        assert place.machine_id is not None
    assert await desk.yard.pool.rest(place.machine_id)
    shutil.rmtree(desk.directory)
    desk.yard.host.build = "an upgraded hypervisor"
    async with desk.enter() as again:
        (notice,) = again.notices
        assert "got a new machine" in notice
        assert "this is an upgraded hypervisor" in notice
    assert desk.yard.said(desk.lease.session_id) == ["resting"]


async def test_the_first_turn_clones_and_the_next_finds_everything_there(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        assert (desk.directory / "README").read_text() == "hello\n"
        assert place.notices == ()
    assert desk.steps == ["creating", "booting", "cloning", "ready"]
    async with desk.enter() as again:
        assert again.machine_id == place.machine_id
    assert desk.steps == ["creating", "booting", "cloning", "ready"]
    assert await desk.yard.pool.rest(place.machine_id)
    async with desk.enter() as again:
        assert again.machine_id == place.machine_id
    assert desk.steps[4:] == ["resuming", "ready"]
    pinned = "SELECT host_id FROM session WHERE id = :id"
    assert await desk.yard.town.value(pinned, id=desk.lease.session_id) == desk.yard.town.host_id


async def test_files_of_a_removed_machine_come_back_from_the_checkpoint_and_why_is_said(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        assert place.notices == (), "the first machine is no news"
        turn = await desk.turn(place.machine_id)
        (desk.directory / "new").write_text("kept\n")
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    await desk.machine_removed(place.machine_id)
    async with desk.enter() as again:
        assert (desk.directory / "new").read_text() == "kept\n"
        (told,) = again.notices
        assert "the old one is gone: a person asked for it." in told
        assert "was restored: " in told
    assert "restoring" in desk.steps


async def undone_by(desk: Desk) -> OpenTurn:
    """A turn that has written a file and ended, and the open one that takes it back."""
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
        (desk.directory / "new").write_text("new\n")
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    await desk.queue.finish(desk.lease, turn, TurnState.SUCCEEDED, {})
    await desk.yard.town.say("undo")
    lease = await desk.queue.claim()
    assert lease is not None
    desk.lease = lease
    return await desk.turn(place.machine_id)


async def test_a_turn_is_taken_back_in_the_machine_and_stays_so_in_the_next_one(desk_at):
    desk = await desk_at()
    undo = await undone_by(desk)
    async with desk.enter() as place:
        assert await desk.workplaces.undo(desk.lease, undo, place) == []
        assert not (desk.directory / "new").exists()
    await desk.machine_removed(place.machine_id)
    async with desk.enter():
        assert not (desk.directory / "new").exists()
        assert (desk.directory / "README").read_text() == "hello\n"


async def test_half_way_back_the_next_holder_finds_the_last_checkpoint_and_undoes_it_whole(
    desk_at,
):
    desk = await desk_at()
    undo = await undone_by(desk)
    head = git_tree.line(desk.directory, "symbolic-ref", "HEAD")
    lock = desk.directory / ".git" / f"{head}.lock"
    async with desk.enter() as place:
        lock.touch()
        with pytest.raises(OnaError, match="could not be taken back"):
            await desk.workplaces.undo(desk.lease, undo, place)
    async with desk.enter() as again:
        assert again.machine_id == place.machine_id
        assert (desk.directory / "new").read_text() == "new\n"
        assert any("was restored: " in told for told in again.notices)
        assert await desk.workplaces.undo(desk.lease, undo, again) == []
        assert not (desk.directory / "new").exists()


async def test_a_private_session_begins_where_the_other_stood_and_has_lost_no_machine(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
        (desk.directory / "new").write_text("kept\n")
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    await desk.yard.town.say("private: !look")
    await desk.machine_removed(place.machine_id)
    own = await desk.queue.claim()
    assert own is not None
    async with desk.workplaces.enter(own, None, desk.tell) as beside:
        assert (desk.directory / "new").read_text() == "kept\n"
        (told,) = beside.notices
    assert told.startswith("This session begins where another one stood. Its checkpoint of ")
    assert "gone" not in told


async def test_a_machine_removed_before_a_first_checkpoint_is_told_with_its_cause(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        await desk.turn(place.machine_id)
    await desk.machine_removed(place.machine_id)
    async with desk.enter() as again:
        (told,) = again.notices
    assert "the old one is gone: a person asked for it. No checkpoint was stored yet" in told


async def test_a_turn_whose_machine_was_removed_is_told_so_and_no_other_is_made(desk_at):
    desk = await desk_at()
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
    await desk.machine_removed(place.machine_id)
    with pytest.raises(WorkplaceLost, match="a person asked for it"):
        async with desk.enter(turn):
            pass
    assert desk.yard.host.machines == {}


async def fails(channel, build_log):
    raise StepFailed("`make` ended with status 2")


async def succeeds(channel, build_log):
    return ""


async def test_a_session_whose_template_failed_is_told_why_its_machine_was_booted(desk_at):
    desk = await desk_at()
    order = dataclasses.replace(desk.yard.order, project_id=desk.lease.project_id)

    assert await desk.yard.builder.build(order, "f", fails) is None
    async with desk.enter() as place:
        (told,) = place.notices
    assert "booted instead" in told
    assert "template failed (`make` ended with status 2)" in told
    async with desk.enter() as again:
        assert again.notices == (), "once for a machine"


async def test_a_session_hears_nothing_of_a_failure_that_a_newer_template_made_good(desk_at):
    desk = await desk_at()
    order = dataclasses.replace(desk.yard.order, project_id=desk.lease.project_id)

    assert await desk.yard.builder.build(order, "f", fails) is None
    assert await desk.yard.builder.build(order, "f", succeeds) is not None
    async with desk.enter() as place:
        assert place.notices == ()
    assert "booting" in desk.steps


async def test_a_session_with_a_machine_of_an_older_template_is_told_why_the_newest_failed(desk_at):
    desk = await desk_at()
    order = dataclasses.replace(desk.yard.order, project_id=desk.lease.project_id)

    assert await desk.yard.builder.build(order, "f", succeeds) is not None
    await desk.yard.keeper.tend()
    assert await desk.yard.builder.build(order, "g", fails) is None
    async with desk.enter() as place:
        (told,) = place.notices
    assert "made of an older template" in told
    assert "the newest one failed (`make` ended with status 2)" in told
    async with desk.enter() as again:
        assert again.notices == (), "once for a machine"


@pytest.mark.parametrize(
    ("project", "session", "got"),
    [(None, None, "small"), ("large", None, "large"), ("large", "medium", "medium")],
)
async def test_a_machine_has_the_size_of_its_session_else_of_its_project(
    desk_at, project, session, got
):
    desk = await desk_at()
    async with desk.yard.town.database.begin() as tx:
        await tx.execute(text("UPDATE project SET size = :size"), {"size": project})
        await tx.execute(text("UPDATE session SET size = :size"), {"size": session})
    async with desk.enter() as place:
        row = await desk.yard.row(place.machine_id)
    assert (row.size, row.memory_mib) == (got, SIZES.by_name[got].memory_mib)


async def test_no_room_is_for_later(desk_at):
    desk = await desk_at(running_max=1)
    async with desk.yard.open(await desk.yard.session()):
        with pytest.raises(NoCapacity, match="1 of 1 machines"):
            async with desk.enter():
                pass
