"""The directory of a run of the bench, and the end of everything that was started in it.

A part makes all its files below this directory (TMPDIR), so each process that it leaves behind,
PostgreSQL, a hypervisor or one of ours, names it in its command line or in its environment.
"""

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from bot.store.postgres_process import PID_FILE, end_server, read_pid_file

PREFIX = "ona-bench-"
OWNED = re.compile(re.escape(PREFIX) + r"(\d+)-(\d+)-")


@asynccontextmanager
async def scratch() -> AsyncIterator[Path]:
    """A directory for this run; what killed runs left behind is removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = OWNED.match(left.name)
        if owner is not None and _started(int(owner[1])) != int(owner[2]):
            await remove(left)
    me = os.getpid()
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{me}-{_started(me)}-"))
    try:
        yield directory
    finally:
        await remove(directory)


async def remove(directory: Path) -> None:
    """End what runs in it and delete it."""
    await end_all(directory)
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


async def end_all(directory: Path) -> None:
    """End what runs in it, PostgreSQL cleanly; whoever started it is gone."""
    for pid in _processes(directory):
        if not _is_postgres(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for pid_file in directory.rglob(PID_FILE):
        found = read_pid_file(pid_file.parent)
        if found is not None:
            await end_server(found.pid, pid_file.parent)


def _processes(directory: Path) -> list[int]:
    word = os.fsencode(directory)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if word in said:
                found.append(int(entry.name))
    return found


def _is_postgres(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "postgres"
    return False


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None: there is none."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return None
