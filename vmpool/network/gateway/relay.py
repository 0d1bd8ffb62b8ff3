"""Copies bytes between two connections until both have ended."""

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import suppress

CHUNK_BYTES = 256 << 10
COPIED_BYTES_MAX = 1 << 20
"""In one direction; what is longer is worth a pipe."""
PIPE_BYTES = 1 << 20
SPLICE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK

Take = Callable[[int], float]
"""Counts bytes; how many seconds to wait before the next ones."""


async def relay(one: socket.socket, other: socket.socket, take: Take, idle_seconds: float) -> int:
    """Copy both ways; how many bytes went through.

    :raises TimeoutError: nothing moved for too long
    :raises OSError: a connection broke
    """
    moving = _Moving()
    pumps = {
        asyncio.create_task(_pump(source, target, take, moving))
        for source, target in ((one, other), (other, one))
    }
    tasks = {*pumps, asyncio.create_task(_watch(moving, idle_seconds))}
    pending = set(tasks)
    try:
        while pumps & pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in pending:
            task.cancel()
        # All of them: both may have failed at once, and one of the failures is enough.
        await asyncio.gather(*tasks, return_exceptions=True)
    return moving.total


class _Moving:
    def __init__(self) -> None:
        self.total = 0
        self.at = asyncio.get_running_loop().time()

    def count(self, count: int, take: Take) -> float:
        """So many bytes went through; how long to wait before the next ones."""
        self.total += count
        self.at = asyncio.get_running_loop().time()
        return take(count)


async def _pump(source: socket.socket, target: socket.socket, take: Take, moving: _Moving) -> None:
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    copied = 0
    while count := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(target, buffer[:count])
        copied += count
        # Both calls return without a pause as long as there is something: others have their turn.
        await asyncio.sleep(moving.count(count, take))
        if copied >= COPIED_BYTES_MAX:
            await _splice(source, target, take, moving)
            break
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


async def _splice(
    source: socket.socket, target: socket.socket, take: Take, moving: _Moving
) -> None:
    """The same through a pipe in the kernel, from where the bytes never come to us."""
    out, into = os.pipe()
    try:
        with suppress(OSError):  # more than an account may have: it stays as large as it is
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        while True:
            try:
                count = os.splice(source.fileno(), into, PIPE_BYTES, flags=SPLICE)
            except BlockingIOError:
                await _ready(source, reading=True)
                continue
            if not count:
                return
            await _drain(out, target, count)
            await asyncio.sleep(moving.count(count, take))
    finally:
        os.close(out)
        os.close(into)


async def _drain(out: int, target: socket.socket, count: int) -> None:
    while count:
        try:
            count -= os.splice(out, target.fileno(), count, flags=SPLICE)
        except BlockingIOError:
            await _ready(target, reading=False)


async def _ready(sock: socket.socket, *, reading: bool) -> None:
    """Wait until a socket can be read from, or written to."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (
        (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
    )

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add(sock, wake)
    try:
        await ready
    finally:
        remove(sock)


async def _watch(moving: _Moving, idle_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while (left := moving.at + idle_seconds - loop.time()) > 0:  # noqa: ASYNC110 (bytes set none)
        await asyncio.sleep(left)
    raise TimeoutError("the connection was idle for too long")
