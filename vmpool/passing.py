"""Connections that a machine takes for us, over SSH, as sockets of ours."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

FORWARD_BYTES = 64 * 1024


def passes(
    taken: Callable[[socket.socket], None], _address: str, _port: int
) -> Callable[..., Awaitable[None]]:
    """What asyncssh calls with the two ends of a connection that the machine took for us.

    :param taken: gets it as a socket, which it closes
    """

    async def both_ways(
        reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        ours, theirs = socket.socketpair()
        taken(theirs)
        near, far = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far))
                both.create_task(_copy(near, writer))
        except* (OSError, asyncssh.Error):
            pass
        finally:
            far.close()
            writer.close()

    return both_ways


async def _copy(source: Any, target: Any) -> None:
    while data := await source.read(FORWARD_BYTES):
        target.write(data)
        await target.drain()
    target.write_eof()
