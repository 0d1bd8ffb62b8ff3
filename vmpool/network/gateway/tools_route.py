"""The route to what the agent in a machine may ask of us: requests in, short answers out.

What is asked is decided above; here are only the limits of the transport. A page that a browser in
the machine shows may not ask anything: browsers say which page sends, and such requests are
refused.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

from vmpool.network.gateway.http import BadRequest
from vmpool.network.gateway.ports import Identity, Refused
from vmpool.network.gateway.routes import Visit

PREFIX = "/tools/"
BODY_BYTES_MAX = 6 << 20
"""Of one request: a picture; what is no picture has a lower limit of its own."""
OPEN_MAX = 8
"""Requests of one machine under way; one that waits for people counts too."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a machine asks."""

    who: Identity
    path: str
    """Below the route's prefix, without its query."""
    kind: str
    """Its content type, in lower case, without parameters."""
    version: str
    """Of the protocol, as it says; empty: it doesn't."""
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Response:
    """What it is answered."""

    status: int
    body: bytes = b""
    kind: str = "application/json"


Serve = Callable[[Request], Awaitable[Response]]
"""Answers a request.
:raises NoTurn: no turn is running
:raises Refused:
:raises BadRequest: there is nothing at that path, or it is too much
:raises Unreachable: it can't be told now"""


@dataclass(frozen=True, kw_only=True)
class ToolsRoute:
    """See the module; one for all machines of a host."""

    serve_request: Serve
    prefix: str = PREFIX
    hosts: tuple[str, ...] = ()
    _open: Counter[UUID] = field(default_factory=Counter)

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        headers = {name: value.decode("latin-1") for name, value in visit.request.headers}
        if b"origin" in headers:
            raise Refused("What a page in a browser sends is not taken here.")
        if visit.request.method != b"POST":
            raise BadRequest("POST is what is taken here.", HTTPStatus.METHOD_NOT_ALLOWED)
        machine = visit.who.machine
        if self._open[machine] >= OPEN_MAX:
            why = f"{OPEN_MAX} requests of this machine are under way."
            raise BadRequest(why, HTTPStatus.TOO_MANY_REQUESTS)
        self._open[machine] += 1
        try:
            answer = await self.serve_request(await _read(visit, headers))
        finally:
            self._open[machine] -= 1
            if not self._open[machine]:
                del self._open[machine]
        await visit.side.answer(answer.status, answer.body, kind=answer.kind)


async def _read(visit: Visit, headers: dict[bytes, str]) -> Request:
    """:raises BadRequest: it is too large, or is cut off"""
    length = headers.get(b"content-length", "0")
    if int(length) > BODY_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    async for chunk in visit.side.body():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise _too_large()
    return Request(
        who=visit.who,
        path=visit.rest.partition("?")[0],
        kind=headers.get(b"content-type", "").partition(";")[0].strip().lower(),
        version=headers.get(b"mcp-protocol-version", ""),
        body=bytes(body),
    )


def _too_large() -> BadRequest:
    return BadRequest(
        f"More than {BODY_BYTES_MAX} bytes are not taken.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    )
