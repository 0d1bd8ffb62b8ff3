"""Copies bytes between two connections until both have ended."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

CHUNK_BYTES = 256 << 10

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
    pending = {*pumps, asyncio.create_task(_watch(moving, idle_seconds))}
    try:
        while pumps & pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    return moving.total


class _Moving:
    def __init__(self) -> None:
        self.total = 0
        self.at = asyncio.get_running_loop().time()


async def _pump(source: socket.socket, target: socket.socket, take: Take, moving: _Moving) -> None:
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(target, buffer[:count])
        moving.total += count
        moving.at = loop.time()
        # Both calls return without a pause as long as there is something: others have their turn.
        await asyncio.sleep(take(count))
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


async def _watch(moving: _Moving, idle_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while (left := moving.at + idle_seconds - loop.time()) > 0:  # noqa: ASYNC110 (bytes set none)
        await asyncio.sleep(left)
    raise TimeoutError("the connection was idle for too long")
