"""Bytes both ways between two streams, until both ended, one broke, or nothing came for long.

What is on its way is bounded: nothing more is read from one side before the other has taken what
was read. The end of one direction leaves the other open, as with TCP.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import asyncssh
import structlog

log = structlog.get_logger(__name__)

CHUNK_BYTES_MAX = 64 * 1024
BUFFER_BYTES_MAX = 256 * 1024
"""Read from a socket and not yet asked for."""
BROKEN = (OSError, asyncssh.Error, asyncio.IncompleteReadError)
"""How either side says that it is gone."""


class Source(Protocol):
    """Where bytes come from."""

    async def read(self, n: int = ...) -> Any:
        """At most `n` bytes; none: that was all."""
        ...


class Sink(Protocol):
    """Where they go."""

    def write(self, data: bytes) -> Any:
        """Take them."""
        ...

    async def drain(self) -> Any:
        """Wait until more may be written."""
        ...

    def write_eof(self) -> Any:
        """Say that no more comes."""
        ...

    def close(self) -> Any:
        """End it."""
        ...


Ends = tuple[Source, Sink]


@dataclass(kw_only=True)
class Carried:
    """What came of it."""

    up_bytes: int = 0
    """From the first side to the second."""
    down_bytes: int = 0
    idle: bool = False
    """Nothing came either way for so long that it was ended."""


async def splice(first: Ends, second: Ends, *, idle_seconds: float) -> Carried:
    """Carry until it is over; both are closed then."""
    carried = Carried()
    try:
        async with asyncio.timeout(idle_seconds) as limit:
            await _both(first, second, carried, lambda: _put_off(limit, idle_seconds))
    except TimeoutError:
        carried.idle = True
    finally:
        for _, sink in (first, second):
            with suppress(*BROKEN):
                sink.close()
    return carried


def _put_off(limit: asyncio.Timeout, seconds: float) -> None:
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


async def _both(first: Ends, second: Ends, carried: Carried, moved: Callable[[], None]) -> None:
    async def carry(source: Source, sink: Sink, *, up: bool) -> None:
        while data := await source.read(CHUNK_BYTES_MAX):
            moved()
            sink.write(data)
            await sink.drain()
            if up:
                carried.up_bytes += len(data)
            else:
                carried.down_bytes += len(data)
        sink.write_eof()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(carry(first[0], second[1], up=True))
            group.create_task(carry(second[0], first[1], up=False))
    except* BROKEN as gone:
        # Whoever hangs up in the middle is no error of ours.
        log.debug("splice_broken", why=str(gone.exceptions[0]))
