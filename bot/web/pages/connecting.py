"""Whose accounts are whose: connecting them, and signing in by a forge."""

import hmac
import math
import secrets
import time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.forge.accounts import Account
from bot.errors import NotFound, NothingToDo, OnaError, Refused
from bot.govern import credentials, languages, people
from bot.govern.connecting import CODE_SECONDS
from bot.store import kept
from bot.web.rendering import by_htmx, page
from bot.web.services import Services
from bot.web.signing import SIGN_IN, cookie_name_of, sign_in_browser
from bot.web.visitor import Known, Provided, Visitor, browser_visitor, check_origin
from bot.words.catalogue import language_name, shipped, zones

router = APIRouter()
STATE_SECONDS = 600
"""For which a browser may be at the forge."""
LINK_SECONDS = 900.0
SPARE_SECONDS = 5.0
"""For which we still wait to hear of a code that has expired."""


@router.get("/connect")
async def show(visitor: Known, services: Provided) -> Response:
    """Your accounts, and how to connect another."""
    return await _page(visitor, services)


@router.post("/connect/code")
async def make_code(visitor: Known, services: Provided) -> Response:
    """Show a code that says elsewhere who you are, this once."""
    code = await services.connecting.code_for(visitor.id)
    return await _page(visitor, services, code=code)


@router.post("/connect/use")
async def use_code(
    visitor: Known, services: Provided, code: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """Be the one who was given a code in a chat; this browser stays signed in, as them."""
    name = await services.connecting.use_code(visitor.id, code.strip())
    return await _page(visitor, services, done=f"You are {name} now, with the accounts of both.")


@router.post("/language")
async def choose_language(
    visitor: Known,
    services: Provided,
    locale: Annotated[str, Form(max_length=40)] = "",
    zone: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Read us in a language and zone from now on; empty: what surfaces say."""
    async with services.database.begin() as tx:
        await languages.choose_locale(tx, visitor.id, locale or None)
        await languages.choose_zone(tx, visitor.id, zone.strip() or None)
    return await _page(visitor, services, done="Your language and time zone are kept.")


@router.post("/connect/{surface}")
async def connect(surface: str, visitor: Known, services: Provided) -> Response:
    """Show the code to type at a forge."""

    async def done(account: Account) -> None:
        await services.connecting.attach(visitor.id, surface, account)

    device = await services.connecting.begin(surface, done)
    return await _page(visitor, services, device=device)


@router.post("/sign-in/{surface}")
async def sign_in(surface: str, request: Request, services: Provided) -> Response:
    """Show the code to type at a forge; the page goes on by itself once that is done."""
    check_origin(request)
    link = secrets.token_urlsafe(credentials.SECRET_BYTES)

    async def done(account: Account) -> None:
        person_id = await services.connecting.sign_in(surface, account, services.rights)
        async with services.database.begin() as tx:
            await credentials.add(tx, "link", person_id, link, seconds=LINK_SECONDS)

    async def ended(why: OnaError) -> None:
        async with services.database.begin() as tx:
            await kept.note_sign_in(tx, credentials.digest(link), str(why))

    device = await services.connecting.begin(surface, done, ended)
    until = int(time.time() + device.expires_seconds + SPARE_SECONDS)
    return page("sign_in_code.html", None, device=device, link=link, until=until)


@router.get("/sign-in/ready")
async def ready(
    request: Request, services: Provided, link: str = "", until: float = math.inf
) -> Response:
    """Whether the code was typed: then on to the link, which signs in when it is pressed.

    :param until: UTC time, in seconds, after which nobody asks the forge about the code any more
    """
    async with services.database.begin() as tx:
        name = await credentials.peek_link(tx, link)
        why = await kept.why_no_sign_in(tx, credentials.digest(link))
    if name is None and why is None and time.time() > until:
        why = "the code is too old; you are not signed in; begin again"
    if name is None and by_htmx(request):
        if why is None:
            return Response(status_code=204)
        return Response(headers={"HX-Redirect": str(request.url.replace(scheme="", netloc=""))})
    if name is None and why is not None:
        raise NothingToDo(why)
    if name is None:
        raise NothingToDo(
            "the code was not typed yet, or your account may not sign in here",
            do="go back, type it, and press again; if you did, ask an operator",
        )
    place = f"{SIGN_IN}?link={link}"
    if by_htmx(request):
        return Response(headers={"HX-Redirect": place})
    return RedirectResponse(place, status_code=303)


@router.get("/go/{surface}/{purpose}")
async def go(surface: str, purpose: str, request: Request, services: Provided) -> Response:
    """Send the browser to a forge, which sends it back."""
    accounts = services.connecting.accounts.get(surface)
    if accounts is None or not accounts.redirects or purpose not in {"connect", "sign-in"}:
        raise NotFound(f"nobody can go to {surface[:80]} from here", do="use a code instead")
    state = f"{purpose}.{secrets.token_urlsafe(credentials.SECRET_BYTES)}"
    response = RedirectResponse(
        accounts.authorize_url(state, _back(request, services, surface)), status_code=303
    )
    response.set_cookie(
        cookie_name_of(services, "state"),
        state,
        max_age=STATE_SECONDS,
        path="/back",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.get("/back/{surface}")
async def back(
    surface: str, request: Request, services: Provided, code: str = "", state: str = ""
) -> Response:
    """A browser comes back from a forge with whose account it is."""
    kept = request.cookies.get(cookie_name_of(services, "state"), "")
    if not kept or not hmac.compare_digest(kept.encode(), state.encode("utf-8", "replace")):
        raise Refused(
            "this did not begin in this browser, or too long ago",
            kept="nothing was connected",
            do="begin again from the page",
        )
    if surface not in services.connecting.accounts or not code:
        raise Refused(f"{surface[:80]} said no", kept="nothing was connected", do="begin again")
    where = _back(request, services, surface)
    account = await services.connecting.account_of(surface, code, where)
    if state.startswith("connect."):
        visitor = await browser_visitor(request)
        if visitor is None:
            raise Refused("you are not signed in any more", do="sign in and begin again")
        await services.connecting.attach(visitor.id, surface, account)
        return RedirectResponse("/connect", status_code=303)
    person_id = await services.connecting.sign_in(surface, account, services.rights)
    return await _signed_in(request, services, person_id, way=surface)


async def _signed_in(
    request: Request, services: Services, person_id: UUID, *, way: str
) -> Response:
    response = RedirectResponse("/", status_code=303)
    await sign_in_browser(request, response, services, person_id, way=way)
    response.delete_cookie(cookie_name_of(services, "state"), path="/back")
    return response


def _back(request: Request, services: Services, surface: str) -> str:
    """The address that the forge sends the browser back to."""
    own = f"{request.url.scheme}://{request.headers['host']}"
    return f"{services.settings.public_url or own}/back/{surface}"


async def _page(visitor: Visitor, services: Services, **more: Any) -> Response:
    async with services.database.begin() as tx:
        accounts = await people.accounts_of(tx, visitor.id)
        reading = await languages.settings_of(tx, visitor.id)
    given = {"code": None, "device": None, "done": None, **more}
    return page(
        "connect.html",
        visitor,
        accounts=accounts,
        forges=services.connecting.accounts,
        minutes=CODE_SECONDS / 60,
        reading=reading,
        languages=[(locale, language_name(locale)) for locale in shipped()],
        zones=sorted(zones()),
        **given,
    )
