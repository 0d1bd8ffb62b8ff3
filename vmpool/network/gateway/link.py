"""A connection from a machine: a socket, and what was read of it and not used yet."""

import asyncio
import socket
from contextlib import suppress

READ_BYTES = 64 << 10
LINGER_BYTES_MAX = 1 << 20
LINGER_SECONDS_MAX = 1.0


class Link:
    """One TCP connection. Closed by whoever accepted it."""

    def __init__(self, sock: socket.socket, held: bytes = b"") -> None:
        self.sock = sock
        self.held = held

    async def more(self) -> bool:
        """Wait for bytes, and hold them; False: the other side sends no more."""
        got = await asyncio.get_running_loop().sock_recv(self.sock, READ_BYTES)
        self.held += got
        return bool(got)

    async def stays(self, seconds: float) -> bool:
        """Wait for so long, or until something comes; False: the other side sends no more."""
        if self.held:
            await asyncio.sleep(seconds)
            return True
        try:
            async with asyncio.timeout(seconds):
                return await self.more()
        except TimeoutError:
            return True

    async def read(self) -> bytes:
        """Take what is held, or wait for bytes; empty: the other side sends no more."""
        if not self.held:
            await self.more()
        taken, self.held = self.held, b""
        return taken

    async def send(self, data: bytes) -> None:
        """:raises OSError: the connection is gone."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def linger(self) -> None:
        """Send no more, and let go of what still comes for a moment.

        A connection that is closed with something unread is reset, and the answer that says why
        is lost on its way.
        """
        loop, left = asyncio.get_running_loop(), LINGER_BYTES_MAX
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(LINGER_SECONDS_MAX):
                while left > 0 and (got := await loop.sock_recv(self.sock, READ_BYTES)):
                    left -= len(got)
