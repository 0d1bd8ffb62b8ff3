"""The directory of a run, and the end of what a run that was killed left behind.

run-*/owner          locked as long as the run lives
run-*/process.json   L1's QEMU: pid, start time, boot of the host
run-*/…              key, load, scratch disk, logs
"""

import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from tests.nested.image import Say
from vmpool.drivers.process import Process, kill
from vmpool.image_recipe.lock import exclusive, try_lock
from vmpool.image_recipe.programs import remove_tree


@asynccontextmanager
async def workplace(cache: Path, *, say: Say) -> AsyncIterator[Path]:
    """A directory for this run, gone with it; leftovers of killed runs are removed first."""
    waiting = "another run builds the image of L1; waiting for it"
    async with exclusive(cache / "lock", on_wait=lambda: say(waiting)):
        for left in cache.glob("run-*"):
            await _remove_if_orphaned(left, say)
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=cache))
        owner = os.open(directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try_lock(owner)
    try:
        yield directory
    finally:
        remove_tree(directory)
        os.close(owner)


def record(directory: Path, process: Process) -> None:
    """Remember a process of this run, for the case that we can't end it ourselves."""
    (directory / "process.json").write_text(json.dumps(asdict(process)))


async def _remove_if_orphaned(directory: Path, say: Say) -> None:
    owner = os.open(directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not try_lock(owner):
            return
        # Half written: then it had just been started, and QEMU ends with who started it.
        with suppress(FileNotFoundError, ValueError, TypeError):
            process = Process(**json.loads((directory / "process.json").read_text()))
            await kill(process)
        say(f"removing what a killed run left: {directory.name}")
        remove_tree(directory)
    finally:
        os.close(owner)
