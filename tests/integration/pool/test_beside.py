"""Repositories beside a project's own, in machines: each is had, kept, and missed by its name."""

import shutil
from pathlib import Path

import pytest

from bot.errors import NotFound, Refused
from bot.store.states import TurnState
from bot.work.lease import OpenTurn
from tests.fakes import git_tree
from tests.integration.pool.desks import Desk, open_desk


@pytest.fixture
async def desk(yards, town, tmp_path) -> Desk:
    return await open_desk(yards, town, tmp_path)


async def beside(desk: Desk, root: Path, name: str = "lib") -> Path:
    """A repository beside the project's own; its directory in machines."""
    git_tree.make(root / f"{name}.origin", {b"lib.py": b"x = 1\n"})
    await desk.yard.town.rows(
        "INSERT INTO project_repository (id, project_id, name, url)"
        " SELECT gen_random_uuid(), id, :name, :url FROM project RETURNING id",
        name=name,
        url=str(root / f"{name}.origin"),
    )
    return desk.directory.with_name(name)


async def test_each_repository_has_a_directory_and_a_branch_of_its_own(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    async with desk.enter() as place:
        assert [(one.name, one.directory) for one in place.beside] == [("lib", str(lib))]
        assert (desk.directory / "README").read_text() == "hello\n"
        assert (lib / "lib.py").read_text() == "x = 1\n"
        for at in (desk.directory, lib):
            assert git_tree.line(at, "symbolic-ref", "--short", "HEAD") == desk.lease.branch
    assert desk.steps == ["creating", "booting", "cloning", "cloning", "ready"]
    (lib / "lib.py").write_text("mine\n")
    async with desk.enter():
        assert (lib / "lib.py").read_text() == "mine\n"


async def test_one_that_is_added_later_is_there_from_the_next_turn_on(desk, tmp_path):
    async with desk.enter() as place:
        assert place.beside == ()
    lib = await beside(desk, tmp_path)
    async with desk.enter() as place:
        assert (lib / "lib.py").exists()


async def test_a_turn_that_runs_goes_on_without_one_that_is_added_meanwhile(desk, tmp_path):
    docs = await beside(desk, tmp_path, "docs")
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
    await beside(desk, tmp_path)
    shutil.rmtree(tmp_path / "lib.origin")
    async with desk.enter(turn) as place:
        assert [one.directory for one in place.beside] == [str(docs)]
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    with pytest.raises(NotFound, match="lib: "):
        async with desk.enter():
            pass


async def worked_in(desk: Desk, lib: Path) -> None:
    """A turn has left a file in each of both, its checkpoint is kept, and its machine is gone."""
    async with desk.enter() as place:
        (desk.directory / "mine").write_text("1")
        (lib / "mine").write_text("2")
        turn = await desk.turn(place.machine_id)
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    await desk.machine_removed(place.machine_id)


async def test_a_lost_machine_loses_none_of_the_repositories(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    await worked_in(desk, lib)
    async with desk.enter() as place:
        assert (desk.directory / "mine").read_text() == "1"
        assert (lib / "mine").read_text() == "2"
    own, other = place.notices
    assert "the old one is gone: a person asked for it." in own
    assert other.startswith("lib: Its checkpoint of ")
    rows = "SELECT count(*) AS both, count(repository_id) AS beside FROM checkpoint"
    assert await desk.yard.town.rows(rows) == [(2, 1)]


async def test_of_a_repository_whose_checkpoint_cant_be_read_people_are_told(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    await worked_in(desk, lib)
    spoil = "UPDATE checkpoint SET inline = NULL, blob = 'gone' WHERE repository_id IS NOT NULL"
    await desk.yard.town.rows(f"{spoil} RETURNING id")
    # Another host would wait for this one instead of going on without it.
    assert await desk.checkpoints.unreadable(desk.lease.session_id) is not None
    async with desk.enter() as place:
        assert (desk.directory / "mine").read_text() == "1"
        assert not (lib / "mine").exists()
    assert "lib: Its checkpoint of" in place.notices[1]
    assert "could not be read" in place.notices[1]
    await desk.yard.town.rows("UPDATE project_repository SET removed_at = now() RETURNING id")
    assert await desk.checkpoints.unreadable(desk.lease.session_id) is None


async def test_one_that_cant_be_cloned_is_named_and_nothing_is_lost(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    await worked_in(desk, lib)
    shutil.rmtree(tmp_path / "mirrors")
    (tmp_path / "lib.origin").rename(tmp_path / "elsewhere")
    with pytest.raises(NotFound) as refused:
        async with desk.enter():
            pass
    error = refused.value
    assert error.happened.startswith("lib: ")
    assert str(tmp_path / "lib.origin") in error.happened
    assert "`ona projects remove-repository`" in error.do
    # The own one is back already; nobody would be told of it later.
    (told,) = desk.told
    assert "was restored: " in told
    assert (desk.directory / "mine").read_text() == "1"
    (tmp_path / "elsewhere").rename(tmp_path / "lib.origin")
    async with desk.enter() as place:
        assert (lib / "mine").read_text() == "2"
        assert [one.partition(":")[0] for one in place.notices] == ["lib"]


async def test_without_a_repository_that_is_gone_sessions_go_on(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    shutil.rmtree(tmp_path / "lib.origin")
    with pytest.raises(NotFound, match="lib: "):
        async with desk.enter():
            pass
    await desk.yard.town.rows("UPDATE project_repository SET removed_at = now() RETURNING id")
    async with desk.enter() as place:
        assert place.beside == ()
        assert (desk.directory / "README").read_text() == "hello\n"
    assert not lib.exists()


async def work(desk: Desk, number: int, *places: Path) -> None:
    """A turn leaves a file in each of these, and ends."""
    if number > 1:
        await desk.yard.town.say("!more")
        lease = await desk.queue.claim()
        assert lease is not None
        desk.lease = lease
    async with desk.enter() as place:
        turn = await desk.turn(place.machine_id)
        for at in places:
            (at / "n").write_text(f"{number}\n")
        assert await desk.workplaces.checkpoint(desk.lease, turn, place) == []
    await desk.queue.finish(desk.lease, turn, TurnState.SUCCEEDED, {})


async def undoing(desk: Desk) -> OpenTurn:
    """The open turn that takes the last one back."""
    await desk.yard.town.say("undo")
    lease = await desk.queue.claim()
    assert lease is not None
    desk.lease = lease
    return await desk.turn(await desk.yard.town.value("SELECT id FROM machine"))


async def test_what_cant_be_taken_back_in_one_is_taken_back_in_none(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    await work(desk, 1, desk.directory, lib)
    await work(desk, 2, desk.directory, lib)
    before = await desk.yard.town.value(
        "SELECT id FROM checkpoint WHERE repository_id IS NOT NULL ORDER BY created_at LIMIT 1"
    )
    spoil = "UPDATE checkpoint SET inline = NULL, blob = 'gone' WHERE id = :id RETURNING id"
    await desk.yard.town.rows(spoil, id=before)
    undo = await undoing(desk)
    async with desk.enter() as place:
        with pytest.raises(Refused, match=r"^lib: the checkpoint of .* can't be read"):
            await desk.workplaces.undo(desk.lease, undo, place)
    async with desk.enter() as place:
        assert (desk.directory / "n").read_text() == "2\n"
        assert (lib / "n").read_text() == "2\n"
        gone = "DELETE FROM checkpoint WHERE id = :id RETURNING id"
        await desk.yard.town.rows(gone, id=before)
        with pytest.raises(Refused, match="not kept for so long"):
            await desk.workplaces.undo(desk.lease, undo, place)
        assert (desk.directory / "n").read_text() == "2\n"


async def test_one_that_the_project_has_had_since_goes_back_to_how_it_was_cloned(desk, tmp_path):
    await work(desk, 1, desk.directory)
    lib = await beside(desk, tmp_path)
    await work(desk, 2, desk.directory, lib)
    undo = await undoing(desk)
    async with desk.enter() as place:
        assert await desk.workplaces.undo(desk.lease, undo, place) == []
    assert (desk.directory / "n").read_text() == "1\n"
    assert not (lib / "n").exists()
    assert (lib / "lib.py").read_text() == "x = 1\n"


async def test_one_of_which_nothing_was_saved_before_stays_and_that_is_said(desk, tmp_path):
    lib = await beside(desk, tmp_path)
    await work(desk, 1, desk.directory, lib)
    await desk.yard.town.rows("DELETE FROM turn_checkpoint RETURNING turn_id")
    await work(desk, 2, desk.directory, lib)
    undo = await undoing(desk)
    async with desk.enter() as place:
        (told,) = await desk.workplaces.undo(desk.lease, undo, place)
    assert told.body["text"] == "lib stays as it is: what it was like before was not saved."
    assert (desk.directory / "n").read_text() == "1\n"
    assert (lib / "n").read_text() == "2\n"
