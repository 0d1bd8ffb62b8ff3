"""HTTP from a machine: the forward proxy, plain requests by name, and the gateway's own pages.

CONNECT host:port          a tunnel, if what goes through it says the same name
GET http://host/path       passed on
GET /path, Host: host      passed on (the resolver gave the client an address of the gateway's)
GET http://gateway.ona/…   a route, or what was refused lately
"""

from contextlib import suppress
from dataclasses import dataclass

import h11
import httpcore2

from vmpool.network.gateway.attached import GATEWAY, Attached
from vmpool.network.gateway.http import BadRequest, HttpSide, has_body, onward
from vmpool.network.gateway.link import Link
from vmpool.network.gateway.ports import NoTurn, Refused, Unreachable
from vmpool.network.gateway.routes import Visit, Watch
from vmpool.network.gateway.tunnel import NotHere, pass_on
from vmpool.network.hosts import BadHost, normalise
from vmpool.network.policy import PORT_MAX, Decision
from vmpool.network.slot import HOST_ADDRESS, PROXY_PORT, WEB_PORT

OWN_HOSTS = {GATEWAY, HOST_ADDRESS}
DENIED_PATH = "/denied"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a request goes."""

    host: str
    port: int
    path: str
    """Of the request, with its query."""


async def serve_http(
    at: Attached, link: Link, *, is_proxy: bool = False, pinned: tuple[str, int] | None = None
) -> None:
    """Answer requests until the connection ends.

    :param is_proxy: CONNECT is taken
    :param pinned: the only host and port that requests may be for
    :raises OSError: the connection is gone
    """
    side = HttpSide(link, at.limits, at.bytes.take)
    going_on = True
    while going_on:
        try:
            request = await side.request()
            if request is None:
                break
            if request.method != b"CONNECT":
                await _answer(at, side, request, target_of(request, pinned), pinned is None)
            elif is_proxy:
                await _connect(at, link, side, request)
                break
            else:
                raise BadRequest(f"CONNECT is for the proxy, at port {PROXY_PORT}.", 405)
        except (BadRequest, Refused, NoTurn, Unreachable) as error:
            if side.is_answering:
                break
            await side.answer(_status(error), str(error))
        going_on = side.go_on()
    await link.linger()


def _status(error: BadRequest | Refused | NoTurn | Unreachable) -> int:
    match error:
        case BadRequest():
            return error.status
        case Refused():
            return 403
        case NoTurn():
            return 409
        case Unreachable():
            return 504 if error.late else 502


async def _answer(
    at: Attached, side: HttpSide, request: h11.Request, target: Target, has_own: bool
) -> None:
    if has_own and target.host in OWN_HOSTS:
        await _own(at, side, request, target)
        return
    passage = await at.decide("http", target.host, target.port)
    at.note("http", target.host, target.port, passage.decision)
    host = f"[{target.host}]" if ":" in target.host else target.host
    authority = host if target.port == WEB_PORT else f"{host}:{target.port}"
    onwards = httpcore2.Request(
        request.method,
        httpcore2.URL(scheme="http", host=target.host, port=target.port, target=target.path),
        headers=[(b"host", authority.encode()), *onward(request.headers, b"host")],
        content=side.body() if has_body(request.headers) else None,
    )
    await send(at, side, onwards, route=False)


async def send(
    at: Attached,
    side: HttpSide,
    request: httpcore2.Request,
    *,
    route: bool,
    watch: Watch | None = None,
) -> int:
    """Send a request out and its answer to the machine, as it comes; the answer's status.

    :raises Unreachable: there is no answer
    :raises OSError: the machine is gone
    """
    limits = at.limits
    request.extensions["timeout"] = {
        "connect": limits.connect_seconds_max,
        "read": limits.idle_seconds_max,
        "write": limits.idle_seconds_max,
        "pool": limits.connect_seconds_max,
    }
    where = request.url.host.decode()
    try:
        response = await at.pool(route).handle_async_request(request)
    except httpcore2.TimeoutException as error:
        raise Unreachable(f"{where} did not answer in time.", late=True) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise Unreachable(f"{where} did not answer: {error or 'it closed'}.") from error
    try:
        await _relay_answer(side, response, watch)
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        # The machine sees an answer without its end.
        raise Unreachable(f"{where} stopped in the middle of its answer.") from error
    finally:
        await response.aclose()
    return response.status


async def _relay_answer(side: HttpSide, response: httpcore2.Response, watch: Watch | None) -> None:
    headers = [each for each in onward(response.headers) if each[0] != b"transfer-encoding"]
    if watch is not None:
        watch.begins(response.status, headers)
    phrase = response.extensions.get("reason_phrase", b"")
    await side.begin(response.status, phrase, headers)
    async for chunk in response.aiter_stream():
        if watch is not None:
            watch.passes(chunk)
        await side.spend(len(chunk))
        await side.send(h11.Data(data=chunk))
    await side.send(h11.EndOfMessage())


async def _own(at: Attached, side: HttpSide, request: h11.Request, target: Target) -> None:
    if target.port != WEB_PORT:
        raise BadRequest(f"The gateway answers at port {WEB_PORT}.", 404)
    path = target.path.partition("?")[0]
    if path == DENIED_PATH and request.method in {b"GET", b"HEAD"}:
        await side.answer(200, _denied(at))
        return
    access = await at.access()
    route = at.route(access, target.path)
    if route is None:
        known = ", ".join(sorted(each.prefix for each in access.routes)) or "none"
        raise BadRequest(f"The gateway has no {path[:200]!r}. Its routes: {known}.", 404)

    async def sent(
        side: HttpSide, request: httpcore2.Request, *, watch: Watch | None = None
    ) -> int:
        return await send(at, side, request, route=True, watch=watch)

    def refused(why: str) -> None:
        at.note("route", target.host, WEB_PORT, Decision(False, f"{route.prefix}: {why}"))

    visit = Visit(
        who=at.who,
        request=request,
        rest=target.path.removeprefix(route.prefix),
        side=side,
        send=sent,
        note_refused=refused,
    )
    at.note("route", target.host, WEB_PORT, Decision(True, f"{route.prefix} is a route."))
    try:
        await route.serve(visit)
    except (NoTurn, Refused) as error:
        refused(str(error))
        raise


def _denied(at: Attached) -> str:
    if not at.denied:
        return "Nothing was refused lately."
    lines = [f"{event.at:%Y-%m-%d %H:%M:%S}Z {event.way}: {event.reason}" for event in at.denied]
    return "\n".join(["Refused lately, the newest last:", *lines])


async def _connect(at: Attached, link: Link, side: HttpSide, request: h11.Request) -> None:
    """Open a tunnel.

    :raises Refused: before it is open
    :raises Unreachable: nobody answers there
    """
    host, port = split_authority(request.target.decode("ascii"), None)
    passage = await at.decide("connect", host, port)
    # From when it is open the client takes everything for the other side's; refusals only end it.
    with await at.connect(passage) as upstream, suppress(Refused):
        await side.opened()
        try:
            await pass_on(at, link, upstream, passage)
        except NotHere:
            upstream.close()
            await serve_http(at, link, pinned=(passage.host, passage.port))


def target_of(request: h11.Request, pinned: tuple[str, int] | None) -> Target:
    """Where a request goes, by its target or its Host. :raises BadRequest: nowhere"""
    text = request.target.decode("ascii")
    default = pinned[1] if pinned else WEB_PORT
    if text.startswith("/") or text == "*":
        hosts = [value for name, value in request.headers if name == b"host"]
        authority, path = (hosts[0].decode("latin-1") if hosts else ""), text
    else:
        scheme, _, rest = text.partition("://")
        if scheme.lower() != "http" or not rest:
            raise BadRequest(f"{text[:200]!r} is not passed on; use CONNECT for anything but http.")
        ends = min((rest.find(sign) for sign in "/?#" if sign in rest), default=len(rest))
        authority, path = rest[:ends], rest[ends:]
        path = path if path.startswith("/") else f"/{path}"
        default = WEB_PORT
    host, port = split_authority(authority, default)
    try:
        host = normalise(host)
    except BadHost as error:
        raise BadRequest(f"{host[:80]!r} is refused: {error}.") from error
    if pinned is not None and (host, port) != pinned:
        why = f"The connection is for {pinned[0]}:{pinned[1]}, and the request for {host}:{port}."
        raise BadRequest(why, 421)
    return Target(host=host, port=port, path=path.partition("#")[0])


def split_authority(text: str, default: int | None) -> tuple[str, int]:
    """Host and port of `host:port`. :raises BadRequest: it is none; `default`: None: a must"""
    if "@" in text:
        raise BadRequest("A name and password before the host are not taken.")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "" if default is None else str(default)
    if not host or (":" in host and not host.startswith("[")):
        raise BadRequest(f"{text[:200]!r} is not a host.")
    digits = port.lstrip("0")[:6] if port.isascii() and port.isdecimal() else ""
    if not digits or int(digits) > PORT_MAX:
        raise BadRequest(f"{text[:200]!r} has no port.")
    return host, int(digits)
