"""The API's wire: HTTP on a unix socket, one request at a time, ten connections at most."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

CONNECTIONS_MAX = 10
HEAD_BYTES_MAX = 64 * 1024
TOO_MANY = (
    b"HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\nContent-Length: 40\r\n\r\n"
    b'{ "error": "Too many open connections" }'
)

Answer = tuple[int, Any]
Handle = Callable[[str, str, bytes], Awaitable[Answer]]
"""Method, path, body → status and what the body says; None: there is no body."""


class Server:
    """Serves `handle` on a listening socket."""

    def __init__(self, listener: socket.socket, handle: Handle) -> None:
        self._listener = listener
        self._handle = handle
        self._open = 0
        self._one = asyncio.Lock()

    async def start(self) -> None:
        """Begin to serve."""
        await asyncio.start_unix_server(self._connected, sock=self._listener)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                if self._open > CONNECTIONS_MAX:
                    writer.write(TOO_MANY)
                    await writer.drain()
                    return
                while await self._request(reader, writer):
                    pass
        finally:
            self._open -= 1
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        async with self._one:
            status, said = await self._handle(method, path, body)
        writer.write(_bytes(status, said))
        await writer.drain()
        return True


def _bytes(status: int, said: Any) -> bytes:
    # The real one's reason phrase is empty.
    head = f"HTTP/1.1 {status} \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"
    if said is None:
        return f"{head}\r\n".encode()
    data = json.dumps(said, separators=(",", ":")).encode()
    more = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return (head + more).encode() + data
