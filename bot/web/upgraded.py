"""Connections that ask for a WebSocket: uvicorn hands them over with the head of the request.

    /api/v1/sessions/<session>/tunnel    bytes into the session's machine; see `bot.web.tunnel`
    <token>.<preview host>/…             a preview's own; see `bot.web.previewing`

They are no part of the ASGI application: what is carried is bytes, and a preview's WebSockets are
between a browser and a program in the machine, so nobody here reads their frames.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import structlog
from starlette.requests import Request
from starlette.responses import Response

from bot.errors import NotFound
from bot.web import answers
from bot.web.headers import host_name, hosts_of
from bot.web.tunnel import serve_tunnel
from bot.work.splice import BROKEN, BUFFER_BYTES_MAX

log = structlog.get_logger(__name__)

HEAD_SECONDS_MAX = 10.0
_TUNNEL = re.compile(r"/api/v1/sessions/([^/]+)/tunnel")

Ours = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[Request, Ours], Awaitable[None]]


class Upgraded(asyncio.StreamReaderProtocol):
    """One such connection; made by uvicorn, which asks it to end by `shutdown`."""

    def __init__(self, *, config: Any, server_state: Any, app_state: dict[str, Any]) -> None:
        """As uvicorn calls it; `config.app` is our application."""
        self._app = config.app
        self._server_state = server_state
        self._running: asyncio.Task[None] | None = None
        super().__init__(asyncio.StreamReader(limit=BUFFER_BYTES_MAX), self._begin)

    def shutdown(self) -> None:
        """The server ends."""
        if self._running is not None:
            self._running.cancel()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._running = asyncio.ensure_future(self._serve(reader, writer))
        self._server_state.connections.add(self)
        self._running.add_done_callback(lambda _: self._server_state.connections.discard(self))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
            request = request_of(self._app, head, writer)
            try:
                await _dispatch(request, (reader, writer))
            except Exception as error:
                status, told = answers.from_exception(request, error)
                writer.write(await as_bytes(answers.as_json(status, told)))
                await writer.drain()
        except (*BROKEN, TimeoutError, h11.ProtocolError) as error:
            log.debug("websocket_left", why=str(error))
        finally:
            writer.close()


async def _dispatch(request: Request, ours: Ours) -> None:
    host, known = request.headers.get("host", ""), request.app.state.previews
    token = known.token(host)
    if token is not None:
        await known.serve_websocket(request, ours, token)
        return
    if host_name(host) not in hosts_of(request.app.state.services):
        raise answers.Forged("this is not known here by that name")
    found = _TUNNEL.fullmatch(request.url.path)
    if found is None:
        raise NotFound("there is no WebSocket at this address")
    await serve_tunnel(request, ours, found[1])


def request_of(app: Any, head: bytes, writer: asyncio.StreamWriter) -> Request:
    """The request with which a connection began. :raises h11.ProtocolError:"""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(head)
    event = parser.next_event()
    if not isinstance(event, h11.Request):
        raise h11.RemoteProtocolError("no request")
    path, _, query = event.target.partition(b"?")
    secure = writer.get_extra_info("ssl_object") is not None
    scope = {
        "type": "http",
        "app": app,
        "method": event.method.decode("ascii"),
        "scheme": "https" if secure else "http",
        "http_version": "1.1",
        "path": path.decode("ascii"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(event.headers),
        "server": writer.get_extra_info("sockname")[:2],
        "client": (writer.get_extra_info("peername") or ("", 0))[:2],
        "state": {},
    }
    return Request(scope)


async def as_bytes(response: Response) -> bytes:
    """A whole answer, after which the connection ends."""
    head = [f"HTTP/1.1 {response.status_code} ".encode()]
    head += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*head, b"connection: close", b"", bytes(response.body)])
