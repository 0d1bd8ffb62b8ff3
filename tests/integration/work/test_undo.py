"""Turns are taken back: by the queue, whole, once, as far as it is kept, and not beyond."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from bot.store.blobs import DirectoryBlobs
from bot.store.database import Database
from bot.store.states import TurnState
from bot.work import undo_rows
from bot.work.checkpoint import Checkpoints
from bot.work.lease import Lease, OpenTurn
from bot.work.moving_back import BranchBack, Moved, is_at
from bot.work.queue import LeaseLost
from bot.work.undoing import Undoing
from bot.work.workplace import BesideAt
from tests.fakes import git_tree
from tests.fakes.guest import HostedGuest
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.fakes.local_machine import LocalMachine
from tests.integration.conftest import Town
from tests.support.shift import Shift, until
from vmpool.errors import MachineLost
from vmpool.ssh import Authority

KIB = 1024
TURNS = "SELECT state FROM turn ORDER BY started_at"
ENDED = "SELECT body ->> 'summary' FROM turn_event WHERE kind = 'turn.ended' ORDER BY number"
UNDONE = "SELECT body FROM turn_event WHERE kind = 'undone' ORDER BY number"


def checkpoints_in(root: Path, database: Database, turns: int = 5) -> Checkpoints:
    return Checkpoints(
        database,
        DirectoryBlobs(root / "blobs"),
        bytes_max=1024 * KIB,
        inline_bytes_max=64 * KIB,
        file_bytes_max=512 * KIB,
        undo_turns_max=turns,
    )


@dataclass(kw_only=True)
class Office:
    """A session whose machine is this host, and the worker that works for it."""

    town: Town
    places: GuestWorkplaces
    directory: Path

    async def say(self, words: str, *, ends: int) -> str:
        """Say it and let it be worked off until so many turns have ended; the last summary."""
        told = await self.town.say(words)
        assert told.verdict == "prompt", told
        async with Shift(self.town, self.places, f"w{self.town.said}"):
            summaries = await until(self.town, ENDED, lambda rows: len(rows) == ends)
        return summaries[-1][0]

    def files(self) -> dict[bytes, bytes]:
        found = git_tree.on_disk(self.directory)
        return {path: data for path, (_, data) in found.items() if b".ona" not in path}


@pytest.fixture
async def office(town: Town, guest: HostedGuest, tmp_path: Path) -> AsyncIterator[Office]:
    directory = tmp_path / "repo"
    base = git_tree.make(directory, {b"README": b"hello\n", b".gitignore": b"*.log\n"})
    git_tree.git(directory, "update-ref", "refs/ona/base", base)
    channel = await guest.open(await Authority.load(tmp_path / "ca"))
    places = GuestWorkplaces(channel, str(directory))
    places.checkpoints = checkpoints_in(tmp_path, town.database)
    places.undoing = Undoing(town.database, places.checkpoints)
    await town.say("!true")
    branch = await town.value("SELECT branch FROM session")
    git_tree.git(directory, "checkout", "-q", "-b", branch)
    git_tree.git(directory, "branch", "-q", "-D", "main")
    async with Shift(town, places, "first"):
        await until(town, TURNS, lambda rows: rows == [("succeeded",)])
    yield Office(town=town, places=places, directory=directory)
    await channel.close()


async def test_each_undo_takes_one_turn_more_back_until_none_is_left(office: Office) -> None:
    start = office.files()
    await office.say("!echo 1 > one; echo l > x.log", ends=2)
    after_one = office.files()
    commit = "git add -A; git -c user.name=a -c user.email=a@example.org commit -qm two"
    await office.say(f"!echo 2 > two; {commit}; echo 3 > README", ends=3)
    assert await office.say("undo", ends=4) == "the last turn was taken back"
    assert office.files() == after_one
    ((body,),) = await office.town.rows(UNDONE)
    assert (body["files"], body["count"], body["name"]) == (["README", "two"], 2, "Ann")
    assert body["text"].startswith("The turn for “!echo 2 > two; git add -A; git -c")
    assert "2 files are as they were before (README, two)" in body["text"]
    await office.say("undo", ends=5)
    assert office.files() == {**start, b"x.log": b"l\n"}
    await office.say("undo", ends=6)
    told = await office.town.say("undo")
    assert (told.verdict, told.text) == (
        "refused",
        "There is no turn of this session that could be taken back; everything is as it was.",
    )
    states = await office.town.rows("SELECT undone_by IS NOT NULL FROM turn ORDER BY started_at")
    assert [undone for (undone,) in states] == [True] * 3 + [False] * 3


async def test_a_turn_after_an_undo_is_taken_back_to_what_the_undo_left(office: Office) -> None:
    await office.say("!echo 1 > one", ends=2)
    after_one = office.files()
    await office.say("!echo 2 > two", ends=3)
    await office.say("undo", ends=4)
    await office.say("!echo 3 > three", ends=5)
    await office.say("undo", ends=6)
    assert office.files() == after_one
    newest = await office.town.value("SELECT tree FROM checkpoint ORDER BY created_at DESC LIMIT 1")
    one = await office.town.value(
        "SELECT tree FROM checkpoint JOIN turn ON turn.checkpoint_id = checkpoint.id"
        " WHERE turn.undone_by IS NULL ORDER BY turn.started_at DESC LIMIT 1"
    )
    assert newest == one


async def test_undo_goes_before_what_waits_and_loses_nothing_of_it(office: Office) -> None:
    await office.town.say("!echo 1 > one")
    await office.town.say("!cat one; echo 2 > two")
    async with Shift(office.town, office.places, "w", turns_max=1):
        await until(office.town, TURNS, lambda rows: len(rows) >= 2)
        told = await office.town.say("undo")
        await until(office.town, ENDED, lambda rows: len(rows) == 4)
    assert told.verdict == "prompt"
    kinds = await office.town.rows(
        "SELECT prompt.kind FROM turn JOIN prompt ON prompt.id = turn.prompt_id"
        " ORDER BY turn.started_at"
    )
    assert sorted(kinds) == [("command",)] * 3 + [("undo",)]
    assert await office.town.value("SELECT state FROM session") == "idle"


async def test_a_retry_after_an_undo_runs_what_was_taken_back_once_more(office: Office) -> None:
    await office.say("!echo 1 > one", ends=2)
    await office.say("undo", ends=3)
    assert b"one" not in office.files()
    await office.say("retry", ends=4)
    assert office.files()[b"one"] == b"1\n"


async def test_the_agent_is_told_once_what_was_taken_back(office: Office) -> None:
    await office.say("!echo 1 > one", ends=2)
    await office.say("undo", ends=3)
    await office.say("!true", ends=4)
    await office.say("!true", ends=5)
    turns = await office.town.rows("SELECT id FROM turn ORDER BY started_at")
    async with office.town.database.begin() as tx:
        said = [list(await undo_rows.taken_back(tx, turn)) for (turn,) in turns]
    assert said[3:] == [["echo 1 > one"], []]


async def test_a_machine_that_cannot_take_it_back_says_so_and_the_turn_stays(
    office: Office,
) -> None:
    await office.say("!echo 1 > one", ends=2)
    lock = office.directory / ".git" / (git_tree.line(office.directory, "symbolic-ref", "HEAD"))
    lock.with_name(lock.name + ".lock").touch()
    summary = await office.say("undo", ends=3)
    assert summary.startswith("the last turn could not be taken back: ")
    assert await office.town.rows(UNDONE) == []
    assert await office.town.value("SELECT count(*) FROM turn WHERE undone_by IS NOT NULL") == 0


# -- by hand: who dies, who lost the lease, what is kept -------------------------------------------


@dataclass(kw_only=True)
class Desk:
    """A session at work in a machine that a test holds itself."""

    town: Town
    root: Path
    machine: LocalMachine
    checkpoints: Checkpoints

    @property
    def directory(self) -> Path:
        return self.machine.directory

    async def take(self, owner: str) -> tuple[Lease, OpenTurn]:
        queue = self.town.queue(owner, lease_seconds=0.2)
        lease = None
        async with asyncio.timeout(30):
            while lease is None:
                lease = await queue.claim()
        found = (await queue.look(lease)).turn or await queue.begin_turn(lease, None)
        assert found is not None
        return lease, found

    async def turn(self, number: int, *, saved: bool = True) -> dict[str, object]:
        """A turn that writes a file; what is seen after it."""
        await self.town.say(f"!turn {number}")
        lease, turn = await self.take(f"w{number}")
        commit = git_tree.commit(self.directory, {b"src/n": b"%d\n" % number}, f"Turn {number}")
        git_tree.write(self.directory, {b"loose": commit.encode()})
        if saved:
            await self.save(lease, turn)
        # It had a machine, though no row of the pool tells of it here.
        await self.end(lease, turn)
        return git_tree.seen(self.directory)

    async def save(self, lease: Lease, turn: OpenTurn) -> None:
        saved = await self.checkpoints.save(
            lease, turn, self.machine, directory=str(self.directory)
        )
        assert saved.notices == ()

    async def end(self, lease: Lease, turn: OpenTurn) -> None:
        queue = self.town.queue(lease.key.owner)
        await queue.finish(lease, turn, TurnState.SUCCEEDED, {})

    async def undo(
        self, lease: Lease, turn: OpenTurn, beside: Sequence[BesideAt] = (), **how
    ) -> None:
        undoing = Undoing(self.town.database, self.checkpoints, **how)
        directory = str(self.directory)
        told = await undoing.undo(lease, turn, self.machine, directory=directory, beside=beside)
        assert told == []


@pytest.fixture
async def desk(town: Town, tmp_path: Path) -> Desk:
    (tmp_path / "first").mkdir()
    machine = LocalMachine(tmp_path / "first")
    base = git_tree.make(machine.directory, {b"README": b"hello\n", b"src/n": b"0\n"})
    git_tree.git(machine.directory, "update-ref", "refs/ona/base", base)
    git_tree.git(machine.directory, "checkout", "-q", "-b", "ona/s-1")
    git_tree.git(machine.directory, "branch", "-q", "-D", "main")
    checkpoints = checkpoints_in(tmp_path, town.database, turns=2)
    return Desk(town=town, root=tmp_path, machine=machine, checkpoints=checkpoints)


async def test_what_was_before_the_last_turns_is_kept_and_no_more(desk: Desk) -> None:
    states = {number: await desk.turn(number) for number in range(1, 7)}
    for goal in (5, 4):
        await desk.town.say("undo")
        lease, turn = await desk.take(f"undo {goal}")
        await desk.undo(lease, turn)
        await desk.end(lease, turn)
        assert git_tree.seen(desk.directory) == states[goal]
    await desk.town.say("undo")
    lease, turn = await desk.take("undo 3")
    with pytest.raises(Exception, match=r"can't be taken back any more: the checkpoint before it"):
        await desk.undo(lease, turn)
    assert git_tree.seen(desk.directory) == states[4]


async def test_fenced_who_lost_the_lease_takes_nothing_back(desk: Desk) -> None:
    await desk.turn(1)
    await desk.turn(2)
    await desk.town.say("undo")
    late, turn = await desk.take("late")
    lease, again = await desk.take("next")
    assert again.id == turn.id
    with pytest.raises(LeaseLost):
        await desk.undo(late, turn)
    assert await desk.town.rows(UNDONE) == []
    await desk.undo(lease, again)
    assert len(await desk.town.rows(UNDONE)) == 1


@pytest.mark.parametrize("dies", ["before", "in the machine", "after the machine", "at the end"])
async def test_whoever_goes_on_after_a_loss_takes_it_back_whole_and_once(
    desk: Desk, dies: str
) -> None:
    goal = await desk.turn(1)
    await desk.turn(2)
    await desk.town.say("undo")
    lease, turn = await desk.take("dies")

    async def lost(*_: object) -> str:
        raise MachineLost("gone")

    if dies == "at the end":
        await desk.undo(lease, turn)
    else:
        desk.machine.lost = dies == "before"
        desk.machine.cut_after = 30 if dies == "in the machine" else None
        with pytest.raises(MachineLost):
            await desk.undo(lease, turn, **({"move_back": lost} if "after" in dies else {}))
    desk.machine.lost, desk.machine.cut_after = False, None
    lease, again = await desk.take("next")
    assert again.id == turn.id
    await desk.undo(lease, again)
    await desk.end(lease, again)
    assert git_tree.seen(desk.directory) == goal
    ((body,),) = await desk.town.rows(UNDONE)
    assert body["files"] == ["loose", "src/n"]
    assert await desk.town.value("SELECT state FROM session") == "idle"


async def test_killed_in_the_middle_it_is_not_ready_and_is_repeated_whole(desk: Desk) -> None:
    """kill -9 while the machine's files change: never half."""
    goal = await desk.turn(1)
    await desk.turn(2)
    git = desk.directory / ".git"
    (git / "ona-ready").touch()
    await desk.town.say("undo")
    shim, reached = desk.root / "shim", desk.root / "reached"
    shim.mkdir()
    real = next(
        path for place in os.environ["PATH"].split(":") if (path := Path(place) / "git").exists()
    )
    script = f'case "$*" in *read-tree*) : > {reached}; exec sleep 60;; esac; exec {real} "$@"'
    (shim / "git").write_text(f"#!/bin/sh\n{script}\n")
    (shim / "git").chmod(0o755)
    words = (desk.town.database.url, str(desk.town.host_id), "killed", "1", str(desk.root))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.undo_process", *words),
        env={**os.environ, "PATH": f"{shim}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(60):
            while not reached.exists():
                assert process.returncode is None
                await asyncio.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert not (git / "ona-ready").exists()
    lease, turn = await desk.take("next")
    await desk.undo(lease, turn)
    assert (git / "ona-ready").exists()
    assert git_tree.seen(desk.directory) == goal


async def _pushed(desk: Desk) -> tuple[Path, str]:
    """The code host, at which the session's branch is pushed, and the branch."""
    host = desk.root / "host.git"
    git_tree.git(desk.root, "init", "-q", "--bare", str(host))
    git_tree.git(desk.directory, "remote", "add", "origin", str(host))
    branch = await desk.town.value("SELECT branch FROM session")
    git_tree.git(desk.directory, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
    head = git_tree.line(desk.directory, "rev-parse", "HEAD")
    await desk.town.rows(
        "UPDATE project SET repository_url = 'https://github.com/o/r.git' RETURNING id"
    )
    await desk.town.rows(
        "INSERT INTO branch (session_id, repository, ref, commit)"
        " SELECT id, 'github:github.com/o/r', :ref, :commit FROM session RETURNING ref",
        ref=f"refs/heads/{branch}",
        commit=head,
    )
    return host, branch


@pytest.mark.parametrize("others", [False, True])
async def test_the_pushed_branch_goes_back_unless_somebody_else_pushed_since(
    desk: Desk, others: bool
) -> None:
    await desk.turn(1)
    one = git_tree.line(desk.directory, "rev-parse", "HEAD")
    await desk.turn(2)
    host, branch = await _pushed(desk)
    if others:
        git_tree.git(desk.root, "clone", "-q", "-b", branch, str(host), "other")
        git_tree.commit(desk.root / "other", {b"theirs": b"t\n"}, "Theirs")
        git_tree.git(desk.root / "other", "push", "-q")
    await desk.town.say("undo")
    lease, turn = await desk.take("undo")
    await desk.undo(lease, turn, move_back=BranchBack(desk.town.database, {}))
    ((body,),) = await desk.town.rows(UNDONE)
    now = git_tree.line(host, "rev-parse", branch)
    if others:
        assert f"branch {branch} was not moved back: somebody else has pushed" in body["text"]
        assert now == git_tree.line(desk.root / "other", "rev-parse", "HEAD")
    else:
        assert f"The pushed branch {branch} is at {one[:9]} as before." in body["text"]
        assert now == one == await desk.town.value("SELECT commit FROM branch")


async def test_a_branch_that_was_pushed_before_the_turn_stays(desk: Desk) -> None:
    await desk.turn(1)
    host, branch = await _pushed(desk)
    await desk.turn(2)
    lease = (await _leased(desk))[0]
    now = git_tree.line(desk.directory, "rev-parse", "HEAD")
    back = BranchBack(desk.town.database, {})
    moved = Moved(was=now, now=git_tree.line(desk.directory, "rev-parse", "HEAD~1"))
    told = await back(lease, desk.machine, str(desk.directory), moved)
    assert told == f"The pushed branch {branch} is at {moved.now[:9]} as before."
    moved = Moved(was=now, now=now)
    assert await back(lease, desk.machine, str(desk.directory), moved) == ""
    assert git_tree.line(host, "rev-parse", branch) != now


async def _leased(desk: Desk) -> tuple[Lease, OpenTurn]:
    await desk.town.say("undo")
    return await desk.take("holder")


async def test_a_turn_is_taken_back_in_each_of_its_repositories(desk: Desk) -> None:
    lib = _clone(desk)
    branch = await _beside(desk, lib)
    for number in (1, 2):
        await desk.town.say(f"!turn {number}")
        lease, turn = await desk.take(f"w{number}")
        for at in (desk.directory, lib):
            git_tree.write(at, {b"n": b"%d\n" % number})
        await _save_both(desk, lib, lease, turn)
        await desk.end(lease, turn)
    at_lib = BesideAt(id=LIB_ID, name="lib", url="x", base_branch=None, directory=str(lib))
    for goal in (b"1\n", None):
        await desk.town.say("undo")
        lease, turn = await desk.take(f"undo {goal!r}")
        await desk.undo(lease, turn, beside=[at_lib])
        await desk.end(lease, turn)
        for at in (desk.directory, lib):
            found = (at / "n").read_bytes() if (at / "n").exists() else None
            assert found == goal, at
    bodies = [body for (body,) in await desk.town.rows(UNDONE)]
    assert [(body["files"], body["count"]) for body in bodies] == [(["n", "lib/n"], 2)] * 2
    assert git_tree.line(lib, "symbolic-ref", "--short", "HEAD") == branch
    assert (lib / "lib.py").read_bytes() == b"x = 0\n"


LIB_ID = UUID("019a0000-0000-7000-8000-000000000001")


def _clone(desk: Desk) -> Path:
    lib = desk.directory.with_name("lib")
    base = git_tree.make(lib, {b"lib.py": b"x = 0\n"})
    git_tree.git(lib, "update-ref", "refs/ona/base", base)
    return lib


async def _beside(desk: Desk, lib: Path) -> str:
    """A repository beside the project's own, on the branch that the session has there."""
    await desk.town.rows(
        "INSERT INTO project_repository (id, project_id, name, url)"
        " SELECT :id, id, 'lib', 'x' FROM project RETURNING id",
        id=LIB_ID,
    )
    await desk.town.say("!true")
    lease, turn = await desk.take("first")
    git_tree.git(lib, "checkout", "-q", "-b", lease.branch)
    git_tree.git(lib, "branch", "-q", "-D", "main")
    await _save_both(desk, lib, lease, turn)
    await desk.end(lease, turn)
    return lease.branch


async def _save_both(desk: Desk, lib: Path, lease: Lease, turn: OpenTurn) -> None:
    for at, repository_id in ((desk.directory, None), (lib, LIB_ID)):
        saved = await desk.checkpoints.save(
            lease, turn, desk.machine, directory=str(at), repository_id=repository_id
        )
        assert saved.notices == ()


@pytest.mark.parametrize(
    ("repository", "url", "same"),
    [
        ("github:github.com/o/r", "https://github.com/O/r.git", True),
        ("github:github.com/o/r", "git@github.com:o/r.git", True),
        ("gitlab:gitlab.test:8443/g/s/r", "https://ona@gitlab.test:8443/g/s/r", True),
        ("gitlab:gitlab.test/g/r", "ssh://git@gitlab.test:2222/g/r.git", True),
        ("gitlab:gitlab.test/g/r", "https://gitlab.test/lab/g/r", True),
        ("/srv/r", "/srv/r", True),
        ("/srv/r", "/srv/other", False),
        ("github:github.com/o/r", "https://github.com/o/rr.git", False),
        ("github:github.com/o/r", "https://other.test/o/r.git", False),
        ("/srv/r", "/srv/r2", False),
    ],
)
def test_which_repository_a_pushed_branch_is_in(repository: str, url: str, same: bool) -> None:
    assert is_at(repository, url) is same
