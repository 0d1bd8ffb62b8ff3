"""One WebSocket of the gateway: what goes out, in order and compressed as asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import Callable

from aiohttp import web

from tests.fakes.discord.sessions import Close, Session


class Connection:
    """A client that is connected, with or without a session."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        compress = request.query.get("compress")
        assert compress in (None, "zlib-stream"), f"this gateway has no {compress}"
        self.request = request
        self.socket = socket
        self.session: Session | None = None
        self.queue: asyncio.Queue[dict | Close | asyncio.Event] = asyncio.Queue()
        self._zlib = zlib.compressobj() if compress == "zlib-stream" else None

    def tell(self, what: dict | Close) -> None:
        self.queue.put_nowait(what)

    async def send(self, deaf: Callable[[], bool]) -> None:
        """Send what is told until the connection ends; while `deaf`, nothing of it."""
        with contextlib.suppress(ConnectionError):
            while True:
                what = await self.queue.get()
                if isinstance(what, asyncio.Event):
                    await what.wait()
                elif isinstance(what, Close):
                    return await self._close(what)
                elif not deaf():
                    await self._write(json.dumps(what))

    async def _write(self, text: str) -> None:
        if self._zlib is None:
            return await self.socket.send_str(text)
        data = self._zlib.compress(text.encode()) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        return await self.socket.send_bytes(data)

    async def _close(self, close: Close) -> None:
        if close.code is not None:
            await self.socket.close(code=close.code)
        elif (transport := self.request.transport) is not None:
            transport.abort()
