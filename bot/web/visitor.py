"""Who sent a request, and whether a browser meant to send it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Request

from adapters.forge.port import Permission
from bot.govern import access, credentials
from bot.govern.access import Act, Standing
from bot.govern.audit import Audited, Source
from bot.govern.rights import to_see
from bot.web import reading
from bot.web.answers import Forged, NotSignedIn
from bot.web.services import Services
from bot.work.control import Actor

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """A signed-in person behind a request."""

    standing: Standing
    csrf: str = ""
    """What forms must carry; empty for an API token."""

    @property
    def id(self) -> UUID:
        """The person's id."""
        return self.standing.person_id

    @property
    def actor(self) -> Actor:
        """The person as `bot.work.control` wants them."""
        return Actor(id=self.standing.person_id, name=self.standing.name)

    @property
    def source(self) -> Source:
        """The person as the audit names them, and where they came from."""
        return Source.of(self.standing, "web" if self.csrf else "api")

    def did(self, kind: str, place: str = "", **more: Any) -> Audited:
        """Something that they did, for the audit; `more` as in `Audited`."""
        return Audited(kind=kind, by=self.source, place=place, **more)

    def require(self, act: Act) -> None:
        """:raises Refused: when they may not."""
        access.require(self.standing, act)


def services_of(request: Request) -> Services:
    """The services that the application was made with."""
    services: Services = request.app.state.services
    return services


def cookie_name(services: Services) -> str:
    """Cookies know no ports, so the name does: two installations on one machine stay apart."""
    return f"ona_{services.settings.port}"


def browser_secret(request: Request) -> str:
    """The browser session's secret, empty when there is none."""
    return request.cookies.get(cookie_name(services_of(request)), "")


async def browser_visitor(request: Request) -> Visitor | None:
    """The person signed in with this browser, if any."""
    secret = browser_secret(request)
    if not secret:
        return None
    async with services_of(request).database.begin() as tx:
        found = await credentials.signed_in(tx, "browser", secret)
    if found is None:
        return None
    return Visitor(standing=found.standing, csrf=credentials.csrf_token(secret))


async def visitor(request: Request) -> Visitor:
    """Whoever sent this request, by token or by browser.

    :raises NotSignedIn: nobody known
    :raises Forged: a browser's state-changing request without our origin and token
    """
    authorization = request.headers.get("authorization", "")
    if authorization:
        found = await _token_visitor(request, authorization)
    else:
        found = await browser_visitor(request)
    if found is None:
        raise NotSignedIn(
            "you are not signed in", do="open a sign-in link: `ona people link` prints one"
        )
    request.state.visitor = found
    if found.csrf and request.method not in SAFE:
        check_origin(request)
        await _check_csrf(request)
    return found


async def _token_visitor(request: Request, authorization: str) -> Visitor | None:
    scheme, _, secret = authorization.partition(" ")
    if scheme.casefold() != "bearer":
        return None
    async with services_of(request).database.begin() as tx:
        found = await credentials.signed_in(tx, "token", secret.strip())
    return None if found is None else Visitor(standing=found.standing)


def check_origin(request: Request) -> None:
    """:raises Forged: the browser does not say that one of our own pages sent this."""
    origin = urlsplit(request.headers.get("origin", ""))
    own = request.headers.get("host", "")
    if not origin.netloc or origin.netloc.casefold() != own.casefold():
        raise Forged(
            "this did not come from one of ona's own pages",
            kept="nothing was changed",
            do="open the page here and try again",
        )


async def _check_csrf(request: Request) -> None:
    given = request.headers.get(CSRF_HEADER, "")
    if not given and "form" in request.headers.get("content-type", ""):
        value = (await request.form()).get(CSRF_FIELD, "")
        given = value if isinstance(value, str) else ""
    if not credentials.csrf_holds(browser_secret(request), given):
        raise Forged(
            "this page is older than your sign-in",
            kept="nothing was changed",
            do="load the page again and repeat it",
        )


Known = Annotated[Visitor, Depends(visitor)]
Provided = Annotated[Services, Depends(services_of)]


def _of_session(act: Act) -> Callable[..., Awaitable[Visitor]]:
    """Whoever may do that with the session in the path, by its repository's forge too."""

    async def check(short: str, visitor: Known, services: Provided) -> Visitor:
        visitor.require(act)
        async with services.database.begin() as tx:
            whose = await reading.whose(tx, short, visitor.id)
        need = to_see(narrow=whose.narrow, need=NEEDS[act])
        await services.rights.require(visitor.standing, whose.project_id, need)
        return visitor

    return check


NEEDS: Mapping[Act, Permission] = {
    Act.SEE: Permission.READ,
    Act.PROMPT: Permission.WRITE,
    Act.STOP: Permission.WRITE,
    Act.DELETE: Permission.WRITE,
    Act.MACHINES: Permission.WRITE,
    Act.PROJECTS: Permission.WRITE,
    Act.ENTER: Permission.WRITE,
}
"""What an act about a project takes on its repository's forge."""
Reader = Annotated[Visitor, Depends(_of_session(Act.SEE))]
Prompter = Annotated[Visitor, Depends(_of_session(Act.PROMPT))]
Stopper = Annotated[Visitor, Depends(_of_session(Act.STOP))]
Deleter = Annotated[Visitor, Depends(_of_session(Act.DELETE))]
"""Visitors of a session in the path `{short}`, with what they came for allowed."""


async def require_project(
    visitor: Visitor,
    services: Services,
    act: Act,
    project_id: UUID | None,
    *,
    narrow: bool | None = False,
) -> None:
    """Whether they may do that with a project, or a narrow session of it. :raises Refused: not"""
    visitor.require(act)
    if project_id is not None:
        need = to_see(narrow=narrow, need=NEEDS[act])
        await services.rights.require(visitor.standing, project_id, need)
