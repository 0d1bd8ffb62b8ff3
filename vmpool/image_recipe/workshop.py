"""Work in an image cache: a place for it, room for it, and how it is told."""

import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from vmpool.errors import HostFull
from vmpool.image_recipe.programs import remove_tree

Progress = Callable[[str], None]


class Steps:
    """Tells each step and how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.tell = progress

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Progress]:
        """Yields a callback for what goes on inside the step."""
        began = time.monotonic()

        def tell(what: str) -> None:
            self.tell(f"{name}: {what} ({time.monotonic() - began:.0f} s)")

        self.tell(name)
        yield tell
        self.tell(f"{name}: done in {time.monotonic() - began:.1f} s")


@contextmanager
def workshop(cache: Path) -> Iterator[Path]:
    """A directory for work in progress; what is to stay is moved out of it."""
    work = Path(tempfile.mkdtemp(prefix="building-", dir=cache.absolute()))
    try:
        yield work
    finally:
        remove_tree(work)


def remove_leftovers(cache: Path) -> None:
    """Remove what crashed builders left. The lock is held."""
    for path in cache.glob("building-*"):
        remove_tree(path)


def mark_used(path: Path) -> None:
    """Note that somebody asked for this just now."""
    with suppress(OSError):  # not ours, read-only: then it isn't ours to remove either
        os.utime(path)


def demand_room(cache: Path, mib: int, what: str) -> None:
    """:raises HostFull: less than `mib` are free, which `what` takes for a while."""
    found = os.statvfs(cache)
    free_mib = found.f_bavail * found.f_frsize >> 20
    if free_mib < mib:
        raise HostFull(
            f"{what} takes {mib} MiB for a while and {free_mib} MiB are "
            f"free below {cache}; make room or put the data directory elsewhere"
        )
