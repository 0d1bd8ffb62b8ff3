"""Previews: what listens in a session's machine, under a host name of its own.

    <token>.<preview host>/…        no cookie? ─▶ our origin: /previews/<token>, sign-in and rights
                                    ◀─ /.ona/enter?pass=…  a cookie of that host alone
                                    cookie ─▶ relay ─▶ the port in the machine

Our own pages are another origin, so a script of the previewed program reaches neither our cookie
nor what we would answer; see docs/previews.md.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.errors import NotFound, OnaError, Refused
from bot.govern import people
from bot.govern.visit_grants import VisitGrant, read_key
from bot.web import answers, preview_pages, preview_pass
from bot.web.entering import RECHECK_SECONDS, admit_visitor, relays_of, while_admitted
from bot.web.headers import host_name
from bot.web.preview_headers import COOKIE_PREFIX, to_machine
from bot.web.preview_proxy import proxy
from bot.web.services import Services
from bot.web.visitor import Visitor
from bot.work import previews
from bot.work.preview_names import main_address, preview_host, safe_path, token_of
from bot.work.previews import Found
from bot.work.relays import Opened
from bot.work.splice import splice

log = structlog.get_logger(__name__)

OURS = "/.ona/"
ENTER = f"{OURS}enter"
COOKIE = f"{COOKIE_PREFIX}preview"
REMEMBERED_MAX = 10_000
"""Of (preview, person) that were admitted lately; past it all are looked at once more."""
UP = frozenset({"running", "paused"})

Ours = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Somebody who may see a preview."""

    found: Found
    person_id: UUID
    until: float
    """On `time.monotonic`; then it is looked at once more."""


class Previews:
    """Serves the host names of previews."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._key: bytes | None = None
        self._seen: dict[tuple[str, UUID], Seen] = {}
        self._waking: dict[UUID, asyncio.Task[None]] = {}

    def token(self, host: str) -> str | None:
        """The preview whose name a Host header says; None: it is none's."""
        return token_of(host_name(host), preview_host(self.services.settings))

    async def key(self) -> bytes:
        """What passes are signed with."""
        if self._key is None:
            self._key = await read_key(self.services.database)
        return self._key

    async def serve(self, request: Request, token: str, receive: Receive, send: Send) -> None:
        """Answer one request to a preview's host name."""
        began = False

        async def noting(message: object) -> None:
            nonlocal began
            began = True
            await send(message)  # type: ignore[arg-type]

        try:
            answer = await self._answer(request, token, receive, noting)
        except Exception as error:
            if began:
                raise
            status, told = answers.from_exception(request, error)
            answer = preview_pages.failed(status, told)
        if answer is not None:
            await answer(request.scope, receive, send)

    async def _answer(
        self, request: Request, token: str, receive: Receive, send: Send
    ) -> Response | None:
        """What we answer ourselves; None: the program in the machine did."""
        if request.url.path.startswith(OURS):
            return await self._enter(request, token)
        person_id = await self._person(request, token)
        if person_id is None:
            return self._sign_in(request, token)
        check_same_site(request)
        seen = await self._admit(token, person_id)
        if is_visit(request) and seen.found.machine_state not in UP:
            return await self._wake(token, seen)
        opened = await self._open(seen)
        await proxy(request, opened, seen.found.port, receive, send)
        return None

    async def serve_websocket(self, request: Request, ours: Ours, token: str) -> None:
        """Carry one between a browser and the machine. :raises OnaError: before a byte of it"""
        person_id = await self._person(request, token)
        if person_id is None:
            raise answers.NotSignedIn("open the preview's page first")
        check_same_site(request)
        seen = await self._admit(token, person_id)
        opened = await self._open(seen)
        try:
            opened.writer.write(_upgrade_head(request, seen.found.port))
            theirs = (opened.reader, opened.writer)
            idle = self.services.settings.visits.idle_seconds
            both = splice(ours, theirs, idle_seconds=idle)
            await while_admitted(
                self.services,
                both,
                lambda: self._admit(token, person_id),
                lambda error: log.info("preview_ended", why=str(error)),
            )
        finally:
            opened.close()

    async def _person(self, request: Request, token: str) -> UUID | None:
        """Whose cookie came with it."""
        key, said = await self.key(), request.cookies.get(COOKIE, "")
        return preview_pass.person_of(key, "cookie", said, token=token) if said else None

    def _sign_in(self, request: Request, token: str) -> Response:
        if not is_visit(request):
            raise answers.NotSignedIn("open the preview's page first")
        host = request.headers.get("host", "")
        base = main_address(self.services.settings, request.url.scheme, host)
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{base}/previews/{token}?to={quote(there, safe='')}", 303)

    async def _enter(self, request: Request, token: str) -> Response:
        """Change a pass into the cookie of this host name."""
        key, said = await self.key(), request.query_params.get("pass", "")
        person_id = None
        if request.url.path == ENTER and request.method == "GET":
            person_id = preview_pass.person_of(key, "pass", said, token=token)
        if person_id is None:
            raise Refused("this way in is over", do="open the preview's address again")
        answer = RedirectResponse(safe_path(request.query_params.get("to", "/")), 303)
        answer.set_cookie(
            COOKIE,
            preview_pass.made(key, "cookie", token=token, person_id=person_id),
            max_age=int(preview_pass.COOKIE_SECONDS),
            path="/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        answer.headers["cache-control"] = "no-store"
        answer.headers["referrer-policy"] = "no-referrer"
        return answer

    async def _admit(self, token: str, person_id: UUID) -> Seen:
        """The preview, if they may see it; remembered for a moment, because a page asks often.

        :raises NotFound: it is over
        :raises OnaError: they may not
        """
        seen = self._seen.get((token, person_id))
        if seen is not None and time.monotonic() < seen.until and seen.found.machine_state in UP:
            return seen
        self._seen.pop((token, person_id), None)
        async with self.services.database.begin() as tx:
            found = await previews.find(tx, token)
            standing = await people.standing_of(tx, person_id)
        await admit_visitor(Visitor(standing=standing), self.services, found.short)
        if len(self._seen) >= REMEMBERED_MAX:
            self._seen.clear()
        until = time.monotonic() + RECHECK_SECONDS / 2
        seen = Seen(found=found, person_id=person_id, until=until)
        self._seen[token, person_id] = seen
        return seen

    async def _open(self, seen: Seen) -> Opened:
        found = seen.found
        grant = VisitGrant(
            session_id=found.session_id, person_id=seen.person_id, kind="port", port=found.port
        )
        return await relays_of(self.services).open(grant)

    async def _wake(self, token: str, seen: Seen) -> Response:
        """Let the machine wake, and say so; the page looks again by itself."""
        if seen.found.machine_state is None:
            raise NotFound(
                "the session has no machine now", do="send it a prompt: that brings one up"
            )
        self._seen.pop((token, seen.person_id), None)
        session_id = seen.found.session_id
        if session_id not in self._waking:
            task = asyncio.create_task(self._woken(seen))
            self._waking[session_id] = task
            task.add_done_callback(lambda _: self._waking.pop(session_id, None))
        return preview_pages.waking()

    async def _woken(self, seen: Seen) -> None:
        try:
            (await self._open(seen)).close()
        except OnaError as error:
            # That nothing listens yet says that it is awake; else the next look says why not.
            log.info("preview_woke", why=str(error))


class Previewed:
    """ASGI middleware: requests to previews' host names go another way than ours."""

    def __init__(self, app: ASGIApp, *, previews_of: Callable[[Scope], Previews]) -> None:
        """Stand around `app`."""
        self._app = app
        self._previews_of = previews_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it, or pass it on."""
        if scope["type"] == "http":
            request, known = Request(scope), self._previews_of(scope)
            token = known.token(request.headers.get("host", ""))
            if token is not None:
                await known.serve(request, token, receive, send)
                return
        await self._app(scope, receive, send)


def is_visit(request: Request) -> bool:
    """Whether a person goes to a page, rather than a page asking for something."""
    mode = request.headers.get("sec-fetch-mode")
    page = "text/html" in request.headers.get("accept", "")
    return request.method in {"GET", "HEAD"} and (mode == "navigate" if mode else page)


def check_same_site(request: Request) -> None:
    """Other previews are the same site, so browsers send the cookie along with what they ask.

    :raises Forged: another origin's page asks
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].casefold() != host.casefold():
        raise answers.Forged("another page asked for this", kept="nothing was passed on")
    apart = request.headers.get("sec-fetch-site") in {"same-site", "cross-site"}
    if apart and request.headers.get("sec-fetch-mode") != "navigate":
        raise answers.Forged("another page asked for this", kept="nothing was passed on")


def _upgrade_head(request: Request, port: int) -> bytes:
    target: bytes = request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    scheme = request.url.scheme
    headers = to_machine(request.headers.raw, port=port, scheme=scheme, upgrade=True)
    lines = [b"GET " + target + b" HTTP/1.1", *(name + b": " + value for name, value in headers)]
    return b"\r\n".join([*lines, b"", b""])
