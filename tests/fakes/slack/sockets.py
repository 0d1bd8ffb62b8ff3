"""Socket Mode: connections that tickets open, each envelope on one of them."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web

if TYPE_CHECKING:
    from tests.fakes.slack.delivery import Delivery, Times
    from tests.fakes.slack.server import FakeSlack

CONNECTIONS_MAX = 10
CONNECTION_SECONDS = 18060
"""What hello says about how long a connection lives."""


@dataclass(kw_only=True, eq=False)
class Connection:
    number: int
    ws: web.WebSocketResponse
    request: web.Request
    waiting: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    """Envelopes that were sent and not acknowledged."""
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    leaving: bool = False
    """It was told to go, and gets nothing new."""
    pongs: int = 0

    def drop(self) -> None:
        """Let it die without a word."""
        self.leaving = True
        if self.request.transport is not None:
            self.request.transport.abort()

    async def frame(self, message: dict[str, Any]) -> None:
        await self.ws.send_str(json.dumps(message))

    async def bye(self, reason: str) -> None:
        """Ask it to go: `warning` comes some seconds before the end, `refresh_requested` at it."""
        self.leaving = reason != "warning"
        debug = {"host": f"applink-{self.number}"}
        await self.frame({"type": "disconnect", "reason": reason, "debug_info": debug})


class Sockets:
    def __init__(self, slack: FakeSlack, times: Times) -> None:
        self.open: list[Connection] = []
        self.opened = 0
        self._slack = slack
        self._times = times
        self._tickets: set[str] = set()
        self._last: Connection | None = None

    def ticket(self) -> str:
        """The address at which one connection can be opened, once."""
        ticket = self._slack.stamps.new("ticket-")
        self._tickets.add(ticket)
        base = self._slack.url.replace("http", "ws", 1)
        return f"{base}/link/?ticket={ticket}&app_id={self._slack.app.id}"

    async def close(self) -> None:
        for connection in list(self.open):
            await connection.ws.close(code=WSCloseCode.GOING_AWAY)

    async def refresh(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to go."""
        for connection in list(self.open):
            await connection.bye(reason)

    def drop_all(self) -> None:
        for connection in list(self.open):
            connection.drop()

    async def ping(self) -> None:
        for connection in list(self.open):
            await connection.ws.ping(b"Ping from applink")

    async def link(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=404)
        self._tickets.remove(ticket)
        ws = web.WebSocketResponse(autoping=False, timeout=0.1)
        await ws.prepare(request)
        self.opened += 1
        connection = Connection(number=self.opened, ws=ws, request=request)
        if len(self.open) >= CONNECTIONS_MAX:
            await connection.bye("too_many_websockets")
            await ws.close()
            return ws
        await self._serve(connection)
        return ws

    async def _serve(self, connection: Connection) -> None:
        self.open.append(connection)
        pings = asyncio.create_task(self._pings(connection))
        try:
            await connection.frame(self._hello(connection))
            self._slack.changed()
            async for message in connection.ws:
                if message.type == WSMsgType.PING:
                    await connection.ws.pong(message.data)
                elif message.type == WSMsgType.PONG:
                    connection.pongs += 1
                elif message.type == WSMsgType.TEXT:
                    self._acked(connection, json.loads(message.data))
                self._slack.changed()
        except ConnectionError:
            pass
        finally:
            pings.cancel()
            self._ended(connection)

    def _hello(self, connection: Connection) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.open),
            "debug_info": {
                "host": f"applink-{connection.number}",
                "build_number": 10,
                "approximate_connection_time": CONNECTION_SECONDS,
            },
            "connection_info": {"app_id": self._slack.app.id},
        }

    async def _pings(self, connection: Connection) -> None:
        while self._times.ping_seconds is not None:
            await asyncio.sleep(self._times.ping_seconds)
            await connection.ws.ping(b"Ping from applink")

    def _acked(self, connection: Connection, message: dict[str, Any]) -> None:
        envelope = message.get("envelope_id", "")
        if envelope not in connection.waiting:
            return
        delivery = connection.deliveries[envelope]
        delivery.answer = message.get("payload") or delivery.answer
        delivery.acked_at = delivery.acked_at or time.monotonic()
        future = connection.waiting.pop(envelope)
        if not future.done():
            future.set_result("acked")

    def _ended(self, connection: Connection) -> None:
        self.open.remove(connection)
        for future in connection.waiting.values():
            if not future.done():
                future.set_result("timeout")
        self._slack.changed()

    def _next(self) -> Connection | None:
        """The connections take turns; one that is leaving only if there is no other."""
        staying = [one for one in self.open if not one.leaving] or self.open
        if not staying:
            return None
        after = staying.index(self._last) + 1 if self._last in staying else 0
        self._last = staying[after % len(staying)]
        return self._last

    async def send(self, delivery: Delivery, number: int, envelope: str) -> asyncio.Future[str]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        connection = self._next()
        mishap = delivery.mishap if number == 0 else None
        if connection and mishap and mishap.disconnect == "before":
            connection.drop()
            connection = None
        if connection is None:
            future.set_result("timeout")
            return future
        message = self._envelope(delivery, number, envelope)
        connection.waiting[envelope] = future
        connection.deliveries[envelope] = delivery
        connection.envelopes.append(message)
        delivery.sent_at = delivery.sent_at or time.monotonic()
        try:
            await connection.frame(message)
        except ConnectionError:
            future.set_result("timeout")
        asyncio.get_running_loop().call_later(self._times.ack_seconds, _give_up, future)
        if mishap and mishap.disconnect == "after":
            connection.waiting.pop(envelope, None)
            future.set_result("timeout")
            asyncio.get_running_loop().call_soon(connection.drop)
        return future

    def _envelope(self, delivery: Delivery, number: int, envelope: str) -> dict[str, Any]:
        message = {
            "envelope_id": envelope,
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            message["retry_attempt"] = number
            message["retry_reason"] = delivery.attempts[-1] if delivery.attempts else ""
        return message


def _give_up(future: asyncio.Future[str]) -> None:
    if not future.done():
        future.set_result("timeout")
