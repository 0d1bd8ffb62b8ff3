"""Work trees that are kept and put back by the scripts of `vmpool.guest.worktree`."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from bot.work.guest import Machine, Spool, ask
from tests.fakes import git_tree
from tests.fakes.git_tree import Files
from tests.fakes.local_machine import LocalMachine

BYTES_MAX = 1 << 20


class Kept:
    """A checkpoint as the machine handed it out."""

    def __init__(self, answer: dict[str, Any], payload: bytes) -> None:
        self.answer = answer
        self.payload = payload

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self.payload


async def save(machine: LocalMachine, **request: Any) -> Kept:
    return await save_in(machine, str(machine.directory), **request)


async def save_in(machine: Machine, directory: str, **request: Any) -> Kept:
    asked = {
        "directory": directory,
        "base": None,
        "tree": None,
        "bytes_max": BYTES_MAX,
        "file_bytes_max": BYTES_MAX // 4,
        "files_max": 1000,
        "files": [],
        **request,
    }
    with Spool(memory_bytes_max=BYTES_MAX, bytes_max=BYTES_MAX) as spool:
        answer = await ask(machine, "save", asked, timeout_seconds=60, spool=spool)
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
