"""Routes: what a machine reaches over plain HTTP at `gateway.ona`, with grants added on our side.

    machine ── http://gateway.ona/forge/main/… ──▶ gateway ── https, with the grant ──▶ upstream

The link between a machine and the gateway is private to both, so it needs no TLS; and what the
machine doesn't have, nobody in it can take along.
"""

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote, unquote_plus, urlsplit

import h11
import httpcore2

from vmpool.network.gateway.http import Headers, HttpSide, has_body, onward
from vmpool.network.gateway.ports import Identity, Refused

CREDENTIALS = (
    b"authorization",
    b"cookie",
    b"x-api-key",
    b"api-key",
    b"private-token",
    b"job-token",
)
"""Headers by which a client would show who it is; here it shows nothing."""
CREDENTIAL_PARAMETERS = frozenset({"access_token", "private_token", "job_token"})
"""Of an address: the same. A GitLab takes what is there before what is in a header."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request to a route."""

    who: Identity
    request: h11.Request
    rest: str
    """What follows the route's prefix, with its query: `owner/name.git/info/refs?service=…`."""
    side: HttpSide
    send: "Send"
    note_refused: Callable[[str], None]
    """Tells the audit why something was refused that is answered in the visitor's own words."""


class Watch(Protocol):
    """Sees an answer pass."""

    def begins(self, status: int, headers: Headers) -> None:
        """Its head."""

    def passes(self, chunk: bytes) -> None:
        """The next part of its body."""


class Send(Protocol):
    """Sends a request to an upstream and its answer to the machine, unbuffered."""

    async def __call__(
        self, side: HttpSide, request: httpcore2.Request, *, watch: Watch | None = None
    ) -> int:
        """The status of the answer. :raises Unreachable: there was none, or it was cut"""


class Route(Protocol):
    """Something behind a prefix of the gateway's own paths."""

    @property
    def prefix(self) -> str:
        """Begins and ends with a slash; the longest one that fits is taken."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that are reached only through it: `example.com`, `*.example.com`."""

    async def serve(self, visit: Visit) -> None:
        """Answer a request.

        :raises NoTurn: nothing can be injected now
        :raises Refused: it is not allowed
        :raises Unreachable: the upstream is not there
        """


Injected = Callable[[Identity, str, h11.Request], Awaitable[Mapping[str, str]]]
"""The headers to add for a machine on a route (by its prefix). :raises NoTurn: there are none"""


@dataclass(frozen=True, kw_only=True)
class UpstreamRoute:
    """A named upstream: an internal registry with a token, a staging API."""

    prefix: str
    base: str
    """`https://registry.example.com/api`; plain http only where whoever set it up accepts that."""
    injected: Injected
    hosts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """More headers that a client's credentials may be in."""

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        added = await self.injected(visit.who, self.prefix, visit.request)
        await forward(visit, self.base, visit.rest, added, without=self.without)


async def forward(
    visit: Visit,
    base: str,
    rest: str,
    added: Mapping[str, str],
    *,
    without: tuple[str, ...] = (),
    content: AsyncIterator[bytes] | bytes | None = None,
    watch: Watch | None = None,
) -> int:
    """Send a visit's request to `rest` below `base`, with headers added; the answer's status.

    :raises Refused: the path would lead out of the base
    :param content: in place of the body as it comes; an iterator is of the same length
    """
    if ".." in unquote(rest.partition("?")[0]).replace("\\", "/").split("/"):
        raise Refused("A path that leads upwards is refused.")
    place = urlsplit(base)
    headers = clean(visit.request.headers, added, without)
    host = place.netloc.rpartition("@")[2].encode()
    body = content
    if isinstance(content, bytes):
        lengths = {b"content-length", b"transfer-encoding"}
        headers = [(name, value) for name, value in headers if name not in lengths]
        headers.append((b"content-length", str(len(content)).encode()))
    elif content is None and has_body(visit.request.headers):
        body = visit.side.body()
    request = httpcore2.Request(
        visit.request.method,
        httpcore2.URL(
            scheme=place.scheme,
            host=place.hostname or "",
            port=place.port,
            target=f"{place.path.rstrip('/')}/{_unsigned(rest)}",
        ),
        headers=[(b"host", host), *headers],
        content=body,
    )
    return await visit.send(visit.side, request, watch=watch)


def _unsigned(rest: str) -> str:
    """A path and its query without what a client shows of itself there."""
    path, mark, query = rest.partition("?")
    parts = re.split("[&;]", query)
    kept = [part for part in parts if _parameter(part) not in CREDENTIAL_PARAMETERS]
    return rest if kept == parts else f"{path}{mark}{'&'.join(kept)}"


def _parameter(part: str) -> str:
    return unquote_plus(part.partition("=")[0]).strip()


def clean(
    headers: Iterable[tuple[bytes, bytes]], added: Mapping[str, str], without: tuple[str, ...] = ()
) -> list[tuple[bytes, bytes]]:
    """A client's headers, without what it shows of itself and with what is added."""
    added_bytes = [(name.lower().encode(), value.encode()) for name, value in added.items()]
    taken = [name for name, _ in added_bytes]
    more = [name.lower().encode() for name in without]
    return [*onward(headers, b"host", *CREDENTIALS, *more, *taken), *added_bytes]


def client_tls() -> ssl.SSLContext:
    """How upstreams are known: by the certificates that this host trusts."""
    return ssl.create_default_context()
