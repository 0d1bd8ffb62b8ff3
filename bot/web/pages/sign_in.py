"""Signing in with a one-time link, and out."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern import credentials, languages
from bot.govern.audit import record
from bot.web.rendering import page
from bot.web.signing import SIGN_IN, drop_cookie, sign_in_browser
from bot.web.visitor import Known, Provided, browser_secret, check_origin

router = APIRouter()


@router.get(SIGN_IN)
async def show(services: Provided, link: str = "") -> Response:
    """Ask before the link is used: what merely looks at addresses must not use it up."""
    name = None
    if link:
        async with services.database.begin() as tx:
            name = await credentials.peek_link(tx, link)
    return page(
        "sign_in.html",
        None,
        link=link,
        name=name,
        forges=services.connecting.accounts,
        status=200 if name or not link else 410,
    )


@router.post(SIGN_IN)
async def sign_in(
    request: Request,
    services: Provided,
    link: Annotated[str, Form()] = "",
    zone: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Use the link up and give the browser its session.

    :param zone: that of the browser, if the person wants it to be kept
    """
    check_origin(request)
    async with services.database.begin() as tx:
        person_id = await credentials.use_link(tx, link)
        await languages.offer_zone(tx, person_id, zone)
    response = RedirectResponse("/", status_code=303)
    await sign_in_browser(request, response, services, person_id, way="link")
    return response


@router.post("/sign-out")
async def sign_out(request: Request, visitor: Known, services: Provided) -> Response:
    """Revoke the browser's session."""
    async with services.database.begin() as tx:
        await credentials.forget(tx, browser_secret(request))
        await record(tx, visitor.did("person.signed_out"))
    response = RedirectResponse(SIGN_IN, status_code=303)
    drop_cookie(response, services)
    return response
