"""What is read from a work tree is put back into a fresh clone exactly: any names, any bytes."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.work.guest import Spool, ask
from tests.fakes import git_tree
from tests.fakes.git_tree import Files
from tests.fakes.local_machine import LocalMachine

BYTES_MAX = 1 << 20
NAMES = [
    b"a",
    b"b",
    b"c.txt",
    b"n\nl",
    b"\xff\xfe",
    b" s p ",
    b'"q"',
    b"-x",
    b"b\\t",
    "ü€".encode(),
]

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(b"/".join)
contents = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"", b"one\r\ntwo\r\n", b"text\n", b"\0\xff" * 2000]),
)
values = st.one_of(
    contents,
    st.tuples(st.just("x"), contents),
    st.tuples(st.just("l"), st.sampled_from([b"a", b"nowhere", b"../b", b"\xfe\n"])),
)


def consistent(files: Files) -> dict[bytes, Any]:
    """Without those that need a directory where another is a file."""
    return {
        path: value
        for path, value in files.items()
        if not any(path.startswith(other + b"/") for other in files)
    }


trees = st.dictionaries(paths, values, max_size=6).map(consistent)


class Kept:
    """A checkpoint as the machine handed it out."""

    def __init__(self, answer: dict[str, Any], payload: bytes) -> None:
        self.answer = answer
        self.payload = payload

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.payload


async def save(machine: LocalMachine, **request: Any) -> Kept:
    asked = {
        "directory": str(machine.directory),
        "base": None,
        "tree": None,
        "bytes_max": BYTES_MAX,
        "file_bytes_max": BYTES_MAX // 4,
        "files_max": 1000,
        "files": [],
        **request,
    }
    with Spool(memory_bytes_max=BYTES_MAX, bytes_max=BYTES_MAX) as spool:
        answer = await ask(machine, "save", asked, timeout_seconds=30, spool=spool)
        return Kept(answer, spool.payload())


async def restore(machine: LocalMachine, kept: Kept) -> dict[str, Any]:
    asked = {"directory": str(machine.directory), "size": len(kept.payload)}
    return await ask(machine, "restore", asked, timeout_seconds=30, payload=kept.chunks())


def machine_in(root: Path) -> LocalMachine:
    root.mkdir()
    return LocalMachine(root)


def begin(root: Path, files: Files) -> LocalMachine:
    """A machine whose repository is as a session finds it, and a pristine copy beside it."""
    machine = machine_in(root / "first")
    base = git_tree.make(machine.directory, files)
    git_tree.git(machine.directory, "update-ref", "refs/ona/base", base)
    git_tree.git(machine.directory, "checkout", "-q", "-b", "ona/s-1")
    git_tree.git(root, "clone", "-q", "--mirror", str(machine.directory), str(root / "mirror"))
    return machine


def another(root: Path, name: str = "second") -> LocalMachine:
    """A fresh machine with a clone at the base."""
    machine = machine_in(root / name)
    git_tree.git(root, "clone", "-q", "-b", "main", str(root / "mirror"), str(machine.directory))
    base = git_tree.line(root / "mirror", "rev-parse", "refs/ona/base")
    git_tree.git(machine.directory, "update-ref", "refs/ona/base", base)
    return machine


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    base=trees,
    head=st.none() | trees,
    staged=st.none() | trees,
    now=trees,
    detached=st.booleans(),
)
def test_any_work_tree_comes_back_as_it_was(
    base: Files, head: Files | None, staged: Files | None, now: Files, *, detached: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        machine = begin(root, base)
        if detached:
            git_tree.git(machine.directory, "checkout", "-q", "--detach")
        if head is not None:
            git_tree.replace(machine.directory, head)
            git_tree.commit(machine.directory)
        if staged is not None:
            git_tree.replace(machine.directory, staged)
            git_tree.git(machine.directory, "add", "-A")
        git_tree.replace(machine.directory, now)
        before = git_tree.seen(machine.directory)
        index = (machine.directory / ".git" / "index").read_bytes()

        kept = asyncio.run(save(machine))

        assert kept.answer["result"] == "tree", kept.answer
        assert kept.answer["left_out"] == []
        assert (machine.directory / ".git" / "index").read_bytes() == index
        assert git_tree.seen(machine.directory) == before
        fresh = another(root)
        answer = asyncio.run(restore(fresh, kept))
        assert answer["result"] == "restored", answer
        assert git_tree.seen(fresh.directory) == before
        again = asyncio.run(save(fresh, tree=kept.answer["tree"]))
        assert again.answer == {"result": "same"}
