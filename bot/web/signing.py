"""Signing in and out of a browser: a one-time link becomes a cookie."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from bot.govern import credentials, people
from bot.govern.audit import Audited, Source, record
from bot.web.services import Services
from bot.web.visitor import cookie_name

SIGN_IN = "/sign-in"
DAY_SECONDS = 86400


def link_url(request: Request, secret: str) -> str:
    """The address that signs somebody in, under the name by which we were called."""
    return f"{request.url.scheme}://{request.headers['host']}{SIGN_IN}?link={secret}"


def set_cookie(request: Request, response: Response, services: Services, secret: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        cookie_name(services),
        secret,
        max_age=int(services.settings.web.sign_in_days * DAY_SECONDS),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


async def sign_in_browser(
    request: Request, response: Response, services: Services, person_id: UUID, *, way: str
) -> None:
    """Make a browser session of a person and give it to the browser.

    :param way: how they showed who they are, for the audit
    """
    seconds = services.settings.web.sign_in_days * DAY_SECONDS
    async with services.database.begin() as tx:
        await credentials.sweep(tx)
        secret = await credentials.issue(tx, "browser", person_id, seconds=seconds)
        by = Source.of(await people.standing_of(tx, person_id), "web")
        await record(tx, Audited(kind="person.signed_in", by=by, place=way))
    set_cookie(request, response, services, secret)


def cookie_name_of(services: Services, what: str) -> str:
    """Another cookie of this installation."""
    return f"{cookie_name(services)}_{what}"


def drop_cookie(response: Response, services: Services) -> None:
    """Take it back."""
    response.delete_cookie(cookie_name(services), path="/", httponly=True, samesite="lax")
