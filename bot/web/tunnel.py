"""The tunnel of `ona sessions ssh`: a WebSocket whose bytes go into a session's machine.

GET /api/v1/sessions/<session>/tunnel           to its SSH server
GET /api/v1/sessions/<session>/tunnel?port=N    to a port of it

Only with a bearer token: a browser's cookie opens no tunnel, whoever's page asks. Words about the
connection come as text messages: {"step": …}, {"open": true}, {"error": …}.
"""

import asyncio
from functools import partial

from starlette.requests import Request

from bot.errors import OnaError, Refused
from bot.govern.audit import record
from bot.govern.visit_grants import Kind, VisitGrant
from bot.web.answers import NotSignedIn
from bot.web.entering import Admitted, admit, relays_of, while_admitted
from bot.web.frames import Messages, accepted
from bot.web.services import Services
from bot.work.relays import Opened
from bot.work.splice import splice

PORT_MAX = 65535

Ours = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def serve_tunnel(request: Request, ours: Ours, short: str) -> None:
    """Serve one. :raises OnaError: before anything was said on it"""
    services: Services = request.app.state.services
    if not request.headers.get("authorization"):
        raise NotSignedIn("a tunnel is opened with an API token", do="use `ona sessions ssh`")
    admitted = await admit(request, services, short)
    port = _port(request)
    relays = relays_of(services)
    key = request.headers.get("sec-websocket-key", "")
    if not key or request.headers.get("sec-websocket-version") != "13":
        raise Refused("this is a WebSocket of version 13")
    ours[1].write(_switching(key))
    kind: Kind = "port" if port else "ssh"
    grant = VisitGrant(
        session_id=admitted.session_id, person_id=admitted.visitor.id, kind=kind, port=port
    )
    messages = Messages(*ours)
    try:
        opened = await relays.open(grant, step=messages.step)
        try:
            await _note(services, admitted, short, grant)
            messages.say(open=True)
            await _carry(request, services, short, messages, opened)
        finally:
            opened.close()
    except OnaError as error:
        _say(messages, error)
    finally:
        messages.close()


async def _carry(
    request: Request, services: Services, short: str, messages: Messages, opened: Opened
) -> None:
    """Until either side ends it, or they may not any more."""
    both = splice(
        (messages, messages),
        (opened.reader, opened.writer),
        idle_seconds=services.settings.visits.idle_seconds,
    )
    again = partial(admit, request, services, short)
    await while_admitted(services, both, again, partial(_say, messages))


def _say(messages: Messages, error: OnaError) -> None:
    messages.say(error=error.happened, kept=error.kept, do=error.do, code=error.code)


async def _note(services: Services, admitted: Admitted, short: str, grant: VisitGrant) -> None:
    entered = admitted.visitor.did(
        "machine.entered",
        short,
        session_id=admitted.session_id,
        project_id=admitted.project_id,
        body={"way": grant.kind, **({"port": grant.port} if grant.port else {})},
    )
    async with services.database.begin() as tx:
        await record(tx, entered)


def _port(request: Request) -> int:
    said = request.query_params.get("port", "0")
    if not said.isascii() or not said.isdigit() or not 0 <= int(said[:6]) <= PORT_MAX:
        raise Refused("that is no port", do=f"give one from 1 to {PORT_MAX}")
    return int(said)


def _switching(key: str) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted(key)}\r\n\r\n"
    ).encode()
