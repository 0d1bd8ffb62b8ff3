"""Checkpoints in PostgreSQL and as blobs: stored by the holder, read after the machine is gone."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from bot.errors import TooLarge
from bot.store.blobs import DirectoryBlobs
from bot.work.checkpoint import Checkpoints
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import LeaseLost
from bot.work.repository import Repositories, clone_into
from tests.fakes import git_tree
from tests.fakes.local_machine import LocalMachine
from tests.integration.conftest import Town

PROJECT = UUID(int=1)
KIB = 1024


@dataclass(kw_only=True)
class Desk:
    """A session at work in a machine, and what it takes to move it to another one."""

    town: Town
    root: Path
    lease: Lease
    turn: OpenTurn
    machine: LocalMachine
    checkpoints: Checkpoints
    repositories: Repositories

    @property
    def directory(self) -> Path:
        return self.machine.directory

    async def save(self) -> list[str]:
        saved = await self.checkpoints.save(
            self.lease, self.turn, self.machine, directory=str(self.directory)
        )
        return list(saved.notices)

    async def move(self, name: str) -> str:
        """Go on in a new machine from the newest checkpoint; what the thread is told."""
        (self.root / name).mkdir()
        self.machine = LocalMachine(self.root / name)
        newest = await self.checkpoints.newest(self.lease.session_id)
        await self.clone(base=newest.base if newest else None)
        assert newest is not None
        restored = await self.checkpoints.restore(
            newest, self.machine, directory=str(self.directory)
        )
        return str(restored)

    async def clone(self, base: str | None = None) -> None:
        origin = str(self.root / "origin")
        await self.repositories.update(PROJECT, origin)
        found = await self.repositories.base(PROJECT, None)
        assert base in (None, found.commit)
        await clone_into(
            self.machine,
            self.repositories,
            PROJECT,
            found,
            branch=self.lease.branch,
            directory=str(self.directory),
            origin_url=origin,
        )

    async def rows(self) -> list[tuple]:
        return await self.town.rows(
            "SELECT inline IS NOT NULL, blob FROM checkpoint ORDER BY created_at"
        )

    def blobs(self) -> list[str]:
        return sorted(path.name for path in (self.root / "blobs").glob("??/*"))


@pytest.fixture
async def desk(town: Town, tmp_path: Path) -> Desk:
    await town.say("!work")
    queue = town.queue("w")
    lease = await queue.claim()
    assert lease is not None
    begun = await queue.begin_turn(lease, None)
    assert begun is not None
    git_tree.make(tmp_path / "origin", {b"README": b"hello\n", b"src/a": b"a\n"})
    (tmp_path / "first").mkdir()
    desk = Desk(
        town=town,
        root=tmp_path,
        lease=lease,
        turn=begun,
        machine=LocalMachine(tmp_path / "first"),
        checkpoints=Checkpoints(
            town.database,
            DirectoryBlobs(tmp_path / "blobs"),
            bytes_max=1024 * KIB,
            inline_bytes_max=64 * KIB,
            file_bytes_max=512 * KIB,
            conversations={lease.agent: (".talk/*.jsonl",)},
        ),
        repositories=Repositories(tmp_path / "mirrors"),
    )
    await desk.clone()
    return desk


def work(desk: Desk, large: int = 0) -> None:
    """A commit, and changes that are not committed."""
    git_tree.commit(desk.directory, {b"feature": b"1\n"}, "Work")
    git_tree.write(desk.directory, {b"README": b"changed\n", b"odd\xff\n": os.urandom(1 + large)})
    (desk.directory / "src" / "a").unlink()
    talk = desk.machine.home / ".talk"
    talk.mkdir(exist_ok=True)
    (talk / "1.jsonl").write_text("{}\n")


@pytest.mark.parametrize("large", [0, 200 * KIB])
async def test_a_session_goes_on_in_a_new_machine_where_its_last_turn_ended(
    desk: Desk, large: int
) -> None:
    work(desk, large)
    before = git_tree.seen(desk.directory)
    assert await desk.save() == []
    ((inline, blob),) = await desk.rows()
    assert (inline, blob is None) == ((True, True) if not large else (False, False))
    assert desk.blobs() == ([] if blob is None else [blob])
    shutil.rmtree(desk.machine.work)
    told = await desk.move("second")
    assert git_tree.seen(desk.directory) == before
    assert (desk.machine.home / ".talk" / "1.jsonl").read_text() == "{}\n"
    head = git_tree.line(desk.directory, "rev-parse", "--short=9", "HEAD")
    assert f"was restored: branch {desk.lease.branch} at {head}" in told
    assert "3 uncommitted files, 1 conversation file. It is what the turn for “!work” left." in told
    assert "left. Not kept: running processes" in told


async def test_a_turn_that_changed_nothing_stores_and_tells_nothing(desk: Desk) -> None:
    work(desk)
    await desk.save()
    calls = len(desk.machine.calls)
    assert await desk.save() == []
    assert len(await desk.rows()) == 1
    assert len(desk.machine.calls) == calls + 1
    await desk.move("second")
    assert await desk.save() == []
    assert len(await desk.rows()) == 1


async def test_fenced_who_lost_the_lease_stores_no_checkpoint(desk: Desk) -> None:
    work(desk, 200 * KIB)
    await desk.town.rows(
        "UPDATE session SET lease_token = lease_token + 1 RETURNING id",
    )
    with pytest.raises(LeaseLost):
        await desk.save()
    assert await desk.rows() == []
    assert desk.blobs() == []


async def test_only_the_newest_few_are_kept_and_their_blobs_with_them(desk: Desk) -> None:
    for number in range(5):
        git_tree.write(desk.directory, {b"data": os.urandom((150 + number) * KIB)})
        await desk.save()
    rows = await desk.rows()
    assert len(rows) == 3
    assert desk.blobs() == sorted(blob for _, blob in rows)


async def test_a_checkpoint_that_cannot_be_made_keeps_the_last_one_and_tells_the_thread(
    desk: Desk,
) -> None:
    assert await desk.save() == []
    (desk.directory / ".git").rename(desk.directory / "git")
    (told,) = await desk.save()
    assert "the repository isn't in its place in the machine any more" in told
    assert "Its files are in the machine only; the checkpoint of 20" in told
    (desk.directory / "git").rename(desk.directory / ".git")
    git_tree.commit(desk.directory, {b"huge": os.urandom(1100 * KIB)})
    (told,) = await desk.save()
    assert "its commits alone are more than 1 MB" in told
    desk.machine.lost = True
    (told,) = await desk.save()
    assert "No checkpoint of this turn could be stored: The connection into the machine" in told
    assert len(await desk.rows()) == 1


async def test_what_is_left_out_is_told_when_it_is_new_and_again_when_it_is_gone(
    desk: Desk,
) -> None:
    git_tree.write(desk.directory, {b"film": os.urandom(600 * KIB)})
    (told,) = await desk.save()
    assert told == (
        "Kept in the machine only, not in the checkpoint: film (614.4 kB, more than 524.3 kB)."
    )
    git_tree.write(desk.directory, {b"README": b"more\n"})
    assert await desk.save() == []
    told = await desk.move("second")
    assert "Not kept: film (614.4 kB, more than 524.3 kB); running processes" in told
    assert not (desk.directory / "film").exists()


async def test_a_blob_store_without_room_is_told_and_loses_nothing(desk: Desk) -> None:
    await desk.save()
    (desk.root / "blobs").write_text("in the way")
    work(desk, 200 * KIB)
    (told,) = await desk.save()
    assert "this host could not store it" in told
    assert len(await desk.rows()) == 1


@pytest.mark.parametrize("harm", ["remove", "alter"])
async def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before_it(
    desk: Desk, harm: str
) -> None:
    work(desk)
    await desk.save()
    before = git_tree.seen(desk.directory)
    git_tree.write(desk.directory, {b"data": os.urandom(200 * KIB)})
    await desk.save()
    (path,) = (desk.root / "blobs").glob("??/*")
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-100])
    told = await desk.move("second")
    assert git_tree.seen(desk.directory) == before
    assert "The newer one of 20" in told
    assert "could not be read" in told


async def test_a_row_that_was_damaged_brings_nothing_back_and_says_so(desk: Desk) -> None:
    work(desk)
    await desk.save()
    await desk.town.rows(
        "UPDATE checkpoint SET inline = overlay(inline placing 'xxxx' from size::int - 60)"
        " RETURNING id"
    )
    told = await desk.move("second")
    assert "could not be read: the repository was cloned anew and nothing else was kept" in told
    assert git_tree.line(desk.directory, "status", "--porcelain") == ""


async def test_blobs_of_sessions_that_are_gone_are_swept(desk: Desk) -> None:
    git_tree.write(desk.directory, {b"data": os.urandom(200 * KIB)})
    await desk.save()
    for path in (desk.root / "blobs").glob("??/*"):
        os.utime(path, (0, 0))
    assert await desk.checkpoints.sweep() == []
    await desk.town.rows("DELETE FROM checkpoint RETURNING id")
    assert len(await desk.checkpoints.sweep()) == 1
    assert desk.blobs() == []


async def test_a_machine_that_answers_nonsense_gets_no_row(desk: Desk, tmp_path: Path) -> None:
    lies = tmp_path / "lies"
    lies.write_text("#!/bin/sh\nprintf '%s\\n' \"$LIE\"\n")
    lies.chmod(0o755)
    for lie in (
        "not json",
        "[]",
        '{"result": "same"}',
        '{"result": "tree"}',
        '{"result": "tree", "base": "; rm", "head": "", "tree": "x", "size": 1, "left_out": []}',
        '{"result": "tree", "base": "", "head": "", "tree": "' + "1" * 40 + '", "size": 5,'
        ' "left_out": []}',
    ):
        desk.machine.wrapper = ["env", f"LIE={lie}", str(lies)]
        (told,) = await desk.save()
        assert told.startswith("No checkpoint of this turn could be stored: ")
    assert await desk.rows() == []


async def test_a_checkpoint_larger_than_the_new_disk_is_kept(desk: Desk) -> None:
    work(desk)
    await desk.save()
    newest = await desk.checkpoints.newest(desk.lease.session_id)
    assert newest is not None
    full = '{"result": "failed", "why": "room"}'
    desk.machine.wrapper = ["sh", "-c", f"echo '{full}'"]
    with pytest.raises(TooLarge, match="doesn't fit on the machine's disk"):
        await desk.checkpoints.restore(newest, desk.machine, directory=str(desk.directory))
    assert len(await desk.rows()) == 1
