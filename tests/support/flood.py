"""Peers that never stop talking, and whether everybody else goes on meanwhile."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic

FLOOD_SECONDS_MAX = 20.0
"""After which a flood ends by itself, so that a test of one that works ends too."""


@contextmanager
def flooded(what: bytes, *, first: bytes = b"") -> Iterator[socket.socket]:
    """A stream that is never empty: its other end writes from a thread, as a real guest does.

    :param first: what it says before
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    over = threading.Event()

    def flood() -> None:
        until = monotonic() + FLOOD_SECONDS_MAX
        with theirs, suppress(OSError):
            theirs.sendall(first)
            while monotonic() < until and not over.is_set():
                theirs.sendall(what)

    threads = [threading.Thread(target=flood), threading.Thread(target=_swallow, args=[theirs])]
    for thread in threads:
        thread.start()
    try:
        yield ours
    finally:
        over.set()
        ours.close()
        for thread in threads:
            thread.join()


def _swallow(sock: socket.socket) -> None:
    with suppress(OSError):
        while sock.recv(65536):
            pass


@asynccontextmanager
async def nobody_waits_longer_than(seconds: float) -> AsyncIterator[None]:
    """Everything else on this event loop gets its turn meanwhile."""
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            began = monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, monotonic() - began)

    looking = asyncio.create_task(look())
    await asyncio.sleep(0)
    try:
        yield
        await asyncio.sleep(0.05)
    finally:
        looking.cancel()
    assert longest < seconds
