"""What every process stands on: settings, database, listener, signals, a name of its own."""

import asyncio
import contextlib
import fcntl
import os
import resource
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.config import Settings, beat_descriptor
from bot.errors import Refused
from bot.store.database import Database, Listener
from bot.supervisor import Signals, beat_for_ever
from bot.work.worker import owner_name

FILES_MAX = 1 << 18
"""Open at once in one process. Where there is no limit, programs that close all they might have
inherited, one after the other, would take minutes."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every process stands on."""

    settings: Settings
    database: Database
    listener: Listener
    signals: Signals
    owner: str


def raise_files_limit() -> None:
    """Let this process have as many files open as it may, up to FILES_MAX.

    What a login starts may have 1,024, and each machine alone takes a dozen and its connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_limit(soft, hard), hard))


def files_limit(soft: int, hard: int) -> int:
    """As many as `hard` lets one have, up to FILES_MAX; never fewer than now."""
    return max(soft, min(hard, FILES_MAX))


@asynccontextmanager
async def ground(settings: Settings, url: str, hears: Collection[str]) -> AsyncIterator[Ground]:
    """Open the database and the listener; take the signals over; beat for the supervisor.

    :param hears: the channels of hints that this process listens on
    """
    raise_files_limit()
    signals = Signals()
    signals.install()
    database = Database(url, connections_max=settings.database.connections_max)
    listener = Listener(url, *hears)
    tasks = [
        asyncio.create_task(listener.run()),
        asyncio.create_task(beat_for_ever(beat_descriptor(), signals.stop)),
    ]
    try:
        yield Ground(
            settings=settings,
            database=database,
            listener=listener,
            signals=signals,
            owner=owner_name(os.uname().nodename, os.getpid()),
        )
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await database.close()


@contextmanager
def only_process(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at `path` as long as this process is at `what`.

    :raises Refused: another process holds it
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Refused(
                f"{what} already runs on {path.parent} (process {holder})",
                do="stop it first, or choose another ONA_DATA_DIR",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
