"""What agents do to their work trees, and what of it is kept; what is not is named."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes import git_tree
from tests.fakes.kept_tree import BYTES_MAX, another, begin, restore, save
from tests.fakes.local_machine import LocalMachine


@pytest.fixture
def machine(tmp_path: Path) -> LocalMachine:
    return begin(tmp_path, {b"README": b"hello\n", b"src/a.py": b"a = 1\n"})


async def come_back(tmp_path: Path, machine: LocalMachine, name: str = "second") -> LocalMachine:
    """Save, restore into a fresh clone, and hold that both look the same."""
    kept = await save(machine)
    assert kept.answer["result"] == "tree", kept.answer
    fresh = another(tmp_path, name)
    answer = await restore(fresh, kept)
    assert answer["result"] == "restored", answer
    return fresh


async def test_nothing_is_sent_when_nothing_changed_since_the_last_checkpoint(
    machine: LocalMachine,
) -> None:
    git_tree.write(machine.directory, {b"new": b"1"})
    first = await save(machine)
    again = await save(machine, base=first.answer["base"], tree=first.answer["tree"])
    assert again.answer == {"result": "same"}
    assert again.payload == b""
    git_tree.write(machine.directory, {b"new": b"2"})
    other = await save(machine, base=first.answer["base"], tree=first.answer["tree"])
    assert other.answer["result"] == "tree"


async def test_a_look_without_changes_is_remembered_and_any_touch_ends_that(
    machine: LocalMachine,
) -> None:
    git_tree.write(machine.directory, {b"new": b"1"})
    first = await save(machine)
    asked = {"base": first.answer["base"], "tree": first.answer["tree"]}
    mark = machine.directory / ".git" / "ona-checkpoint"
    assert not mark.exists(), "a file this young may change again within a tick of its clock"
    async with asyncio.timeout(100):
        while not mark.exists():
            assert (await save(machine, **asked)).answer == {"result": "same"}
    git_tree.write(machine.directory, {b"new": b"2"})
    assert (await save(machine, **asked)).answer["result"] == "tree"


async def test_the_agents_repository_gets_no_object_ref_or_setting_from_a_checkpoint(
    machine: LocalMachine,
) -> None:
    git_tree.write(machine.directory, {b"new": b"1", b"README": b"changed"})
    git_tree.git(machine.directory, "add", "README")
    before = git_tree.on_disk(machine.directory / ".git")
    await save(machine)
    after = git_tree.on_disk(machine.directory / ".git")
    after.pop(b"ona-checkpoint", None)
    assert after == before


async def test_files_that_git_would_convert_come_back_byte_for_byte(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.commit(machine.directory, {b".gitattributes": b"* text=auto eol=lf\n*.x filter=no\n"})
    odd = {b"README": b"one\r\ntwo\nthree\r\n", b"new.txt": b"a\r\nb\n", b"src/q.x": b"\r\n"}
    git_tree.write(machine.directory, odd)
    fresh = await come_back(tmp_path, machine)
    assert git_tree.on_disk(fresh.directory) == git_tree.on_disk(machine.directory)


async def test_hooks_and_monitors_of_the_agent_do_not_run(
    tmp_path: Path, machine: LocalMachine
) -> None:
    ran = tmp_path / "ran"
    hooks = machine.directory / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    git_tree.git(machine.directory, "config", "core.fsmonitor", f"touch {ran}; false")
    git_tree.write(machine.directory, {b"new": b"1"})
    assert (await save(machine)).answer["result"] == "tree"
    assert not ran.exists()


async def test_other_branches_come_back_and_removed_ones_stay_removed(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.git(machine.directory, "branch", "-D", "main")
    git_tree.commit(machine.directory, {b"mine": b"1"})
    git_tree.git(machine.directory, "checkout", "-q", "-b", "main/deeper", "HEAD~1")
    git_tree.commit(machine.directory, {b"theirs": b"1"})
    fresh = await come_back(tmp_path, machine)
    assert git_tree.seen(fresh.directory) == git_tree.seen(machine.directory)


async def test_a_merge_with_conflicts_keeps_its_files_and_says_that_the_merge_is_lost(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.git(machine.directory, "checkout", "-q", "-b", "other")
    git_tree.commit(machine.directory, {b"README": b"theirs\n", b"src/b.py": b"b"})
    git_tree.git(machine.directory, "checkout", "-q", "ona/s-1")
    git_tree.commit(machine.directory, {b"README": b"ours\n"})
    with pytest.raises(AssertionError, match="CONFLICT"):
        git_tree.git(machine.directory, "merge", "other")
    kept = await save(machine)
    assert kept.answer["left_out"] == [
        "the merge under way, of which the files are kept as they were"
    ]
    fresh = await come_back(tmp_path, machine)
    assert git_tree.on_disk(fresh.directory) == git_tree.on_disk(machine.directory)
    assert b"<<<<<<<" in (fresh.directory / "README").read_bytes()
    assert git_tree.line(fresh.directory, "rev-parse", "HEAD") == kept.answer["head"]


async def test_a_rebase_under_way_keeps_head_detached_and_is_named(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.commit(machine.directory, {b"README": b"ours\n"})
    git_tree.git(machine.directory, "checkout", "-q", "main")
    git_tree.commit(machine.directory, {b"README": b"theirs\n"})
    git_tree.git(machine.directory, "checkout", "-q", "ona/s-1")
    with pytest.raises(AssertionError, match="CONFLICT"):
        git_tree.git(machine.directory, "rebase", "main")
    kept = await save(machine)
    assert kept.answer["left_out"] == [
        "the rebase under way, of which the files are kept as they were"
    ]
    fresh = await come_back(tmp_path, machine)
    assert git_tree.on_disk(fresh.directory) == git_tree.on_disk(machine.directory)
    head = (fresh.directory / ".git" / "HEAD").read_text().strip()
    assert head == git_tree.line(machine.directory, "rev-parse", "HEAD")


async def test_repositories_within_stashes_and_pipes_are_named_as_left_out(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.write(machine.directory, {b"README": b"put away\n"})
    git_tree.git(machine.directory, "stash", "-q")
    git_tree.make(machine.directory / "vendor" / "lib", {b"x": b"1"})
    git_tree.make(machine.directory / "added", {b"x": b"1"})
    git_tree.git(machine.directory, "-c", "advice.addEmbeddedRepo=false", "add", "added")
    git_tree.commit(machine.directory / "added", {b"y": b"1"})
    (machine.directory / "src" / "a.py").unlink()
    os.mkfifo(machine.directory / "src" / "a.py")
    kept = await save(machine)
    assert kept.answer["left_out"] == [
        "added (a repository of its own)",
        "src/a.py (not a file)",
        "vendor/lib/ (a repository of its own)",
        "stashed changes",
    ]
    fresh = another(tmp_path)
    assert (await restore(fresh, kept))["result"] == "restored"
    assert not (fresh.directory / "src" / "a.py").exists()


async def test_a_repository_that_the_agent_removed_is_said_to_be_gone(
    machine: LocalMachine,
) -> None:
    shutil.rmtree(machine.directory / ".git")
    assert (await save(machine)).answer["why"] == "gone"
    git_tree.git(machine.work, "init", "-q")
    assert (await save(machine)).answer["why"] == "gone"
    shutil.rmtree(machine.directory)
    assert (await save(machine)).answer["why"] == "gone"


async def test_a_repository_that_the_agent_made_anew_is_kept_whole(
    tmp_path: Path, machine: LocalMachine
) -> None:
    shutil.rmtree(machine.directory / ".git")
    git_tree.git(machine.directory, "init", "-q", "-b", "fresh")
    git_tree.git(machine.directory, "add", "README")
    before = git_tree.seen(machine.directory)
    kept = await save(machine, base="1" * 40)
    assert (kept.answer["base"], kept.answer["head"]) == ("1" * 40, "")
    fresh = another(tmp_path)
    assert (await restore(fresh, kept))["result"] == "restored"
    assert git_tree.seen(fresh.directory) == before
    git_tree.commit(machine.directory)
    kept = await save(machine)
    third = another(tmp_path, "third")
    assert (await restore(third, kept))["result"] == "restored"
    assert git_tree.seen(third.directory) == git_tree.seen(machine.directory)


async def test_what_does_not_fit_is_left_out_by_name_and_the_rest_is_kept(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.write(
        machine.directory,
        {
            b"film.mp4": os.urandom(BYTES_MAX // 3),
            b"name\n\xff": os.urandom(BYTES_MAX // 3),
            b"small": b"1",
            b"README": b"changed\n",
            **{b"cache/%d" % n: os.urandom(BYTES_MAX // 5) for n in range(9)},
        },
    )
    kept = await save(machine)
    assert kept.answer["left_out"] == [
        "cache/ (5 files, no room in 1 MB)",
        "film.mp4 (349.5 kB, more than 262.1 kB)",
        "name\\n\\xff (349.5 kB, more than 262.1 kB)",
    ]
    assert len(kept.payload) < BYTES_MAX
    fresh = another(tmp_path)
    assert (await restore(fresh, kept))["changed"] == 6
    assert (fresh.directory / "small").read_bytes() == b"1"


async def test_commits_go_before_files_when_both_do_not_fit(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.commit(machine.directory, {b"data": os.urandom(BYTES_MAX // 2)})
    head = git_tree.line(machine.directory, "rev-parse", "HEAD")
    files = {b"more%d" % n: os.urandom(BYTES_MAX // 5) for n in range(3)}
    git_tree.write(machine.directory, {**files, b"README": b"changed\n"})
    kept = await save(machine)
    assert kept.answer["head"] == head
    assert kept.answer["left_out"] == [f"more{n} (no room in 1 MB)" for n in range(3)]
    fresh = another(tmp_path)
    await restore(fresh, kept)
    assert (fresh.directory / "README").read_bytes() == b"changed\n"
    git_tree.git(machine.directory, "checkout", "-q", "--orphan", "huge")
    git_tree.commit(machine.directory, {b"data": os.urandom(2 * BYTES_MAX)})
    assert (await save(machine)).answer["why"] == "large"


async def test_more_files_than_may_be_are_left_out_in_one_line(machine: LocalMachine) -> None:
    git_tree.write(machine.directory, {b"many/%03d" % n: b"x" for n in range(50)})
    kept = await save(machine, files_max=10)
    assert kept.answer["left_out"] == ["many/ (40 files, more than 10 files)"]


async def test_conversation_files_come_back_below_the_new_home_readable_by_nobody_else(
    tmp_path: Path, machine: LocalMachine
) -> None:
    talk = machine.home / ".agent" / "projects" / "x\n\udcff" / "talk.jsonl"
    talk.parent.mkdir(parents=True)
    talk.write_bytes(b'{"said": "hi"}\n')
    (machine.home / ".agent" / "credentials").write_text("secret")
    globs = [".agent/projects/**/*.jsonl", "nothing/*"]
    kept = await save(machine, files=globs)
    assert b"secret" not in kept.payload
    fresh = another(tmp_path)
    assert (await restore(fresh, kept))["files"] == 1
    restored = fresh.home / talk.relative_to(machine.home)
    assert restored.read_bytes() == talk.read_bytes()
    assert restored.stat().st_mode & 0o777 == 0o600
    talk.write_bytes(b'{"said": "more"}\n')
    more = await save(machine, files=globs, tree=kept.answer["tree"])
    assert more.answer["result"] == "tree"


async def test_a_shallow_clone_is_kept_and_restored(tmp_path: Path) -> None:
    machine = begin(tmp_path, {b"README": b"1"})
    for number in range(3):
        git_tree.commit(machine.directory, {b"README": b"%d" % number})
    shutil.rmtree(machine.directory.parent / "deep", ignore_errors=True)
    machine.directory.rename(machine.work / "deep")
    clone = ("clone", "-q", "--depth", "2", f"file://{machine.work / 'deep'}")
    git_tree.git(tmp_path, *clone, str(machine.directory))
    git_tree.git(machine.directory, "update-ref", "refs/ona/base", "HEAD~1")
    git_tree.write(machine.directory, {b"new": b"1"})
    kept = await save(machine)
    assert kept.answer["result"] == "tree", kept.answer
    (tmp_path / "second").mkdir()
    fresh = LocalMachine(tmp_path / "second")
    git_tree.git(tmp_path, *clone, str(fresh.directory))
    git_tree.git(fresh.directory, "update-ref", "refs/ona/base", "HEAD~1")
    assert (await restore(fresh, kept))["result"] == "restored"
    assert git_tree.on_disk(fresh.directory) == git_tree.on_disk(machine.directory)


async def test_a_bundle_that_arrives_cut_or_altered_changes_nothing(
    tmp_path: Path, machine: LocalMachine
) -> None:
    git_tree.write(machine.directory, {b"new": os.urandom(10_000)})
    kept = await save(machine)
    fresh = another(tmp_path)
    before = git_tree.seen(fresh.directory)
    whole, size = kept.payload, len(kept.payload)
    kept.payload = whole[:-1]
    answer = await restore(fresh, kept)
    assert answer["why"] == "bundle"
    kept.payload = whole[: size // 2] + b"\0\0\0\0" + whole[size // 2 + 4 :]
    assert (await restore(fresh, kept))["why"] == "bundle"
    kept.payload = b"something else"
    assert (await restore(fresh, kept))["why"] == "bundle"
    assert git_tree.seen(fresh.directory) == before
    assert not (fresh.directory / ".git" / "ona-scratch").exists()
    kept.payload = whole
    assert (await restore(fresh, kept))["result"] == "restored"


async def test_what_a_killed_checkpoint_left_is_removed_by_the_next_one(
    machine: LocalMachine,
) -> None:
    git_tree.write(machine.directory, {b"new": b"1"})
    scratch = machine.directory / ".git" / "ona-scratch"
    (scratch / "objects" / "pack").mkdir(parents=True)
    (scratch / "objects" / "pack" / "tmp_pack_1").write_bytes(b"half")
    assert (await save(machine)).answer["result"] == "tree"
    assert not scratch.exists()


def in_small_disk(directory: Path, size_kib: int) -> list[str]:
    """Words before a command that put a full file system below it, seen by it alone."""
    script = (
        f'mount -t tmpfs -o size={size_kib}k small "$1" && cp -a "$1.whole/." "$1" && '
        'dd if=/dev/zero of="$1/.git/filler" bs=4k 2>/dev/null; shift; exec "$@"'
    )
    return ["unshare", "-rm", "--", "sh", "-c", script, "sh", str(directory)]


async def test_a_filled_disk_does_not_prevent_a_checkpoint(
    tmp_path: Path, machine: LocalMachine
) -> None:
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0:
        pytest.skip("this host lets nobody make a mount namespace")
    git_tree.write(machine.directory, {b"new": os.urandom(50_000), b"README": b"changed\n"})
    before = git_tree.on_disk(machine.directory)
    shutil.copytree(machine.directory, f"{machine.directory}.whole", symlinks=True)
    machine.wrapper = in_small_disk(machine.directory, 1024)
    kept = await save(machine)
    assert kept.answer["result"] == "tree", kept.answer
    fresh = another(tmp_path)
    assert (await restore(fresh, kept))["result"] == "restored"
    assert git_tree.on_disk(fresh.directory) == before
    shutil.copytree(fresh.directory, f"{fresh.directory}.whole", symlinks=True)
    fresh.wrapper = in_small_disk(fresh.directory, 1024)
    assert (await restore(fresh, kept))["why"] == "room"
