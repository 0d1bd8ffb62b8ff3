"""A work tree in use goes back to what was kept of it, beside what git ignores."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.work.guest import ask
from bot.work.undoing import MARKS
from tests.fakes import git_tree
from tests.fakes.kept_tree import BYTES_MAX, Kept, begin, save
from tests.fakes.local_machine import LocalMachine
from tests.unit.work.test_checkpoint_tree import trees

BASE = {b"README": b"one\n", b"src/a": b"1\n", b".gitignore": b"*.log\n.env\n"}


async def undo(machine: LocalMachine, kept: Kept | None, **request: Any) -> dict[str, Any]:
    asked = {
        "directory": str(machine.directory),
        "size": len(kept.payload) if kept else 0,
        "base": "",
        "branch": "refs/heads/ona/s-1",
        "key": "k1",
        "file_bytes_max": BYTES_MAX // 4,
        "marks": list(MARKS),
        **request,
    }
    payload = kept.chunks() if kept else None
    return await ask(machine, "undo", asked, timeout_seconds=30, payload=payload)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    base=trees,
    head=st.none() | trees,
    staged=st.none() | trees,
    loose=trees,
    later_head=st.none() | trees,
    later=trees,
)
def test_whatever_a_turn_did_the_tree_is_as_it_was_before(
    *, base, head, staged, loose, later_head, later
):
    async def run(root: Path) -> None:
        machine = begin(root, base)
        if head is not None:
            git_tree.replace(machine.directory, head)
            git_tree.git(machine.directory, "add", "-A")
            git_tree.git(machine.directory, "commit", "-q", "--allow-empty", "-m", "head")
        if staged is not None:
            git_tree.replace(machine.directory, staged)
            git_tree.git(machine.directory, "add", "-A")
        git_tree.replace(machine.directory, loose)
        before = git_tree.seen(machine.directory)
        kept = await save(machine)
        git_tree.replace(machine.directory, later_head or later)
        if later_head is not None:
            git_tree.git(machine.directory, "add", "-A")
            git_tree.git(machine.directory, "commit", "-q", "--allow-empty", "-m", "later")
            git_tree.replace(machine.directory, later)
        answer = await undo(machine, kept)
        assert answer["result"] == "undone", answer
        assert git_tree.seen(machine.directory) == before

    with tempfile.TemporaryDirectory() as root:
        asyncio.run(run(Path(root)))


async def test_a_staged_file_that_was_gone_is_gone_again(tmp_path: Path) -> None:
    machine = begin(tmp_path, {})
    git_tree.write(machine.directory, {b"a/a": b""})
    git_tree.git(machine.directory, "add", "-A")
    git_tree.replace(machine.directory, {})
    before, kept = git_tree.seen(machine.directory), await save(machine)
    git_tree.commit(machine.directory, {b"a": b""}, "Later")
    git_tree.replace(machine.directory, {b"a/a": b""})
    await undo(machine, kept)
    assert git_tree.seen(machine.directory) == before


@pytest.fixture
def machine(tmp_path: Path) -> LocalMachine:
    return begin(tmp_path, BASE)


async def test_commits_files_and_branches_of_a_turn_go(machine: LocalMachine) -> None:
    git_tree.commit(machine.directory, {b"one": b"1\n"}, "One")
    git_tree.write(machine.directory, {b"notes": b"n\n"})
    before, kept = git_tree.seen(machine.directory), await save(machine)
    was = git_tree.line(machine.directory, "rev-parse", "HEAD")
    git_tree.commit(machine.directory, {b"two": b"2\n", b"README": b"two\n"}, "Two")
    now = git_tree.line(machine.directory, "rev-parse", "HEAD")
    git_tree.git(machine.directory, "branch", "aside")
    git_tree.write(machine.directory, {b"deep/er/new": b"x", b"notes": b"m\n"})
    answer = await undo(machine, kept)
    assert git_tree.seen(machine.directory) == before
    assert (answer["was"], answer["head"], answer["branch"]) == (now, was, "refs/heads/ona/s-1")
    assert answer["paths"] == ["README", "deep/er/new", "notes", "two"]
    assert answer["count"] == 4
    assert not (machine.directory / "deep").exists()
    assert git_tree.line(machine.directory, "branch", "--format=%(refname)") == (
        "refs/heads/main\nrefs/heads/ona/s-1"
    )


async def test_without_a_checkpoint_the_session_is_at_its_beginning(machine: LocalMachine) -> None:
    git_tree.git(machine.directory, "branch", "-q", "-D", "main")
    before = git_tree.seen(machine.directory)
    git_tree.commit(machine.directory, {b"one": b"1\n"}, "One")
    git_tree.git(machine.directory, "checkout", "-q", "-b", "elsewhere")
    git_tree.write(machine.directory, {b"more": b"1\n"})
    answer = await undo(machine, None)
    assert answer["result"] == "undone", answer
    assert git_tree.line(machine.directory, "symbolic-ref", "HEAD") == "refs/heads/ona/s-1"
    assert git_tree.seen(machine.directory) == before


@pytest.mark.parametrize("rules", [b"", b"*.log\n.env\nbuild/\n"])
async def test_what_git_ignores_now_or_then_stays(machine: LocalMachine, rules: bytes) -> None:
    git_tree.write(machine.directory, {b".env": b"secret\n"})
    kept = await save(machine)
    changed = {b".gitignore": rules, b"build/out": b"o\n", b"x.log": b"l\n"}
    git_tree.write(machine.directory, changed)
    await undo(machine, kept)
    assert (machine.directory / ".env").read_bytes() == b"secret\n"
    assert (machine.directory / "x.log").exists()
    assert (machine.directory / ".gitignore").read_bytes() == BASE[b".gitignore"]
    assert (machine.directory / "build" / "out").exists() == bool(rules)


async def test_a_file_that_no_checkpoint_could_hold_stays(machine: LocalMachine) -> None:
    git_tree.write(machine.directory, {b"film": os.urandom(BYTES_MAX // 2)})
    kept = await save(machine)
    git_tree.write(machine.directory, {b"new": b"n\n"})
    answer = await undo(machine, kept)
    assert (answer["stayed"], answer["paths"]) == (1, ["new"])
    assert (machine.directory / "film").exists()
    assert not (machine.directory / "new").exists()


async def test_a_merge_under_way_and_the_lock_of_a_killed_git_are_no_hindrance(
    machine: LocalMachine,
) -> None:
    before, kept = git_tree.seen(machine.directory), await save(machine)
    git_tree.git(machine.directory, "checkout", "-q", "-b", "other")
    git_tree.commit(machine.directory, {b"README": b"theirs\n"}, "Theirs")
    git_tree.git(machine.directory, "checkout", "-q", "ona/s-1")
    git_tree.commit(machine.directory, {b"README": b"ours\n"}, "Ours")
    with pytest.raises(AssertionError):
        git_tree.git(machine.directory, "merge", "other")
    (machine.directory / ".git" / "index.lock").touch()
    assert (await undo(machine, kept))["result"] == "undone"
    assert git_tree.seen(machine.directory) == before
    assert not (machine.directory / ".git" / "MERGE_HEAD").exists()


async def test_it_is_done_once_for_a_key_and_says_the_same_again(machine: LocalMachine) -> None:
    kept = await save(machine)
    git_tree.write(machine.directory, {b"new": b"n\n"})
    first = await undo(machine, kept)
    git_tree.write(machine.directory, {b"by hand": b"h\n"})
    assert await undo(machine, kept) == first
    assert (machine.directory / "by hand").exists()
    assert (await undo(machine, kept, key="k2"))["paths"] == ["by hand"]


async def test_half_done_it_does_not_say_that_it_is_ready(machine: LocalMachine) -> None:
    """Never half: whoever finds it makes the repository anew."""
    git = machine.directory / ".git"
    for mark in MARKS:
        (git / mark).touch()
    kept = await save(machine)
    git_tree.commit(machine.directory, {b"src/a": b"2\n"}, "Two")
    (git / "refs" / "heads" / "ona" / "s-1.lock").touch()
    answer = await undo(machine, kept)
    assert (answer["result"], answer["why"]) == ("failed", "git")
    assert not any((git / mark).exists() for mark in MARKS)
    (git / "refs" / "heads" / "ona" / "s-1.lock").unlink()
    assert (await undo(machine, kept))["result"] == "undone"
    assert [(git / mark).exists() for mark in MARKS] == [False, True]


async def test_what_does_not_arrive_whole_changes_nothing(machine: LocalMachine) -> None:
    git_tree.write(machine.directory, {b"new": b"n\n"})
    kept = await save(machine)
    before = git_tree.seen(machine.directory)
    for broken in (kept.payload[:-30], b"nonsense"):
        half = Kept(kept.answer, broken)
        assert (await undo(machine, half))["why"] in {"bundle", "git"}
        assert (await undo(machine, half, size=len(kept.payload)))["why"] == "cut"
    assert git_tree.seen(machine.directory) == before


async def test_who_runs_on_after_the_repository_was_made_anew_leaves_that_alone(
    machine: LocalMachine, tmp_path: Path
) -> None:
    kept = await save(machine)
    git_tree.commit(machine.directory, {b"two": b"2\n"}, "Two")
    shim, reached = tmp_path / "shim", tmp_path / "reached"
    shim.mkdir()
    go = tmp_path / "go"
    waits = f"while ! [ -e {go} ]; do sleep 0.02; done"
    script = f'case "$*" in *read-tree*) : > {reached}; {waits};; esac; PATH={os.environ["PATH"]}'
    (shim / "git").write_text(f'#!/bin/sh\n{script} exec git "$@"\n')
    (shim / "git").chmod(0o755)
    machine.wrapper = ["env", f"PATH={shim}:{os.environ['PATH']}"]
    running = asyncio.create_task(undo(machine, kept))
    async with asyncio.timeout(60):
        while not reached.exists():
            await asyncio.sleep(0.02)
    aside = machine.directory.with_name("aside")
    machine.directory.rename(aside)
    git_tree.make(machine.directory, {b"anew": b"a\n"})
    before = git_tree.seen(machine.directory)
    go.touch()
    assert (await running)["result"] == "undone"
    assert git_tree.seen(machine.directory) == before
    assert not (aside / "two").exists()
