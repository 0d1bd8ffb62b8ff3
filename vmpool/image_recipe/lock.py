"""One builder at a time, across processes."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

LOOK_SECONDS = 0.2


@asynccontextmanager
async def exclusive(path: Path, *, on_wait: Callable[[], None]) -> AsyncIterator[int]:
    """Hold the lock; yields its descriptor. `on_wait` is called once if somebody else has it.

    Whoever inherits the descriptor holds the lock too, so that what a killed builder started
    has ended before the next one begins.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        told = False
        while not try_lock(descriptor):
            if not told:
                on_wait()
                told = True
            # Polled: a thread that waits inside flock could not be called back.
            await asyncio.sleep(LOOK_SECONDS)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the lock unless somebody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
