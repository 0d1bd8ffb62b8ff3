"""Signing in and out of a browser: a one-time link becomes a cookie."""

from fastapi import Request
from starlette.responses import Response

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


def drop_cookie(response: Response, services: Services) -> None:
    """Take it back."""
    response.delete_cookie(cookie_name(services), path="/", httponly=True, samesite="lax")
