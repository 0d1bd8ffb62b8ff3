"""One request of a browser to a program in a machine, and its answer, as both come."""

import asyncio
from contextlib import suppress

import h11
from starlette.requests import Request
from starlette.types import Receive, Send

from bot.errors import TryAgain
from bot.web.preview_headers import to_browser, to_machine
from bot.work.relays import Opened
from bot.work.splice import BROKEN, CHUNK_BYTES_MAX

HEAD_BYTES_MAX = 64 * 1024
NO_BODY = frozenset({"GET", "HEAD", "OPTIONS"})


async def proxy(request: Request, opened: Opened, port: int, receive: Receive, send: Send) -> None:
    """Carry it. :raises TryAgain: the program did not answer, and nothing was said yet"""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    headers = to_machine(request.headers.raw, port=port, scheme=request.url.scheme)
    head = h11.Request(method=request.method, target=_target(request), headers=headers)
    try:
        opened.writer.write(connection.send(head) or b"")
    except h11.LocalProtocolError as error:
        raise TryAgain(f"the request can't be passed on: {error}") from error
    sending = asyncio.ensure_future(_send_body(request, connection, opened, receive))
    answer = _Answer(connection, opened, port, send)
    try:
        await answer.carry()
    except (*BROKEN, h11.RemoteProtocolError) as error:
        if not answer.began:
            raise TryAgain(
                f"the program on port {port} did not answer as a web server",
                do="look at what it says in the machine",
            ) from error
        # The browser sees that it is cut off: its connection ends before its length does.
        raise ConnectionError("the program in the machine hung up") from error
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError, h11.ProtocolError, *BROKEN):
            await sending
        opened.close()


def _target(request: Request) -> bytes:
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    return path + (b"?" + query if query else b"")


async def _send_body(
    request: Request, connection: h11.Connection, opened: Opened, receive: Receive
) -> None:
    """Pass the body on; then hang up on the machine as soon as the browser does."""
    more = request.method not in NO_BODY or "content-length" in request.headers
    if not more:
        opened.writer.write(connection.send(h11.EndOfMessage()) or b"")
    while (message := await receive())["type"] == "http.request":
        if not more:
            continue
        if message.get("body"):
            opened.writer.write(connection.send(h11.Data(data=message["body"])) or b"")
        more = message.get("more_body", False)
        if not more:
            opened.writer.write(connection.send(h11.EndOfMessage()) or b"")
        await opened.writer.drain()
    opened.close()


class _Answer:
    """What the program answers, on its way to the browser."""

    def __init__(self, connection: h11.Connection, opened: Opened, port: int, send: Send) -> None:
        self._connection = connection
        self._opened = opened
        self._port = port
        self._send = send
        self.began = False

    async def carry(self) -> None:
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                data = await self._opened.reader.read(CHUNK_BYTES_MAX)
                self._connection.receive_data(data)
            elif isinstance(event, h11.Response):
                self.began = True
                headers = to_browser(event.headers, port=self._port)
                start = {"type": "http.response.start", "status": event.status_code}
                await self._send({**start, "headers": headers})
            elif isinstance(event, h11.Data):
                body = {"type": "http.response.body", "body": bytes(event.data)}
                await self._send({**body, "more_body": True})
            elif isinstance(event, h11.EndOfMessage):
                await self._send({"type": "http.response.body", "body": b""})
                return
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("the program hung up")
