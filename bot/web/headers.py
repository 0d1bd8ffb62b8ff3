"""The outermost layer: which hosts we answer as, how large a request may be, security headers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.automate.triggers.hook_checks import BODY_BYTES_MAX as AUTOMATION_HOOK_BYTES_MAX
from bot.web.answers import problem
from bot.web.services import Services

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
OPEN_TO_ANY_HOST = frozenset({"/live", "/ready"})
"""Probes call by address; these two tell nothing."""
BODY_BYTES_MAX = 1024 * 1024
HOOK_BYTES_MAX = 8 * 1024 * 1024
"""Of a delivery to a hook: a note on GitLab may have 1,000,000 characters, and stands there twice;
who gets errors for such a one delivers nothing any more."""
BODY_SECONDS_MAX = 30.0

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# `no-referrer` would also blank the Origin header of our own forms, which we check.


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty when it can't be one."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
    return f"[{name}]" if ":" in name else name


def hosts_of(services: Services) -> frozenset[str]:
    """The names under which we answer, without ports."""
    settings = services.settings
    own = () if settings.host in {"0.0.0.0", "::"} else (settings.host,)
    public = urlsplit(settings.public_url or "").hostname
    named = (*LOOPBACK, *settings.web.allowed_hosts, *own, *([public] if public else ()))
    return frozenset(name.casefold() for name in named)


class Outermost:
    """ASGI middleware: refuses strange hosts and large bodies, adds the security headers."""

    def __init__(self, app: ASGIApp, *, services: Services) -> None:
        """Stand around `app`."""
        self._app = app
        self._hosts = hosts_of(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        secured = _with_security(scope, send)
        host = host_name(Headers(scope=scope).get("host", ""))
        if host not in self._hosts and scope["path"] not in OPEN_TO_ANY_HOST:
            answer = problem(
                421,
                f"this is not known here as {host[:100] or 'what you called it'}",
                code="refused",
                do="use its loopback address, or name it in the setting web.allowed_hosts",
            )
            await answer(scope, receive, secured)
            return
        body = await _read_body(scope, receive)
        if isinstance(body, int):
            answer = problem(
                body,
                f"the request is larger than {_bytes_max(scope):,} bytes"
                if body == 413
                else "the request did not arrive in time",
                code="too_large" if body == 413 else "try_again",
                kept="nothing was accepted",
                do="send less",
            )
            await answer(scope, receive, secured)
            return
        await self._app(scope, _replay(body, receive), secured)


def _with_security(scope: Scope, send: Send) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY.items():
                headers[name] = value
            if not scope["path"].startswith("/static/"):
                headers.setdefault("cache-control", "no-store")
        await send(message)

    return secured


def _bytes_max(scope: Scope) -> int:
    if scope["path"].startswith("/hooks/automations/"):
        return AUTOMATION_HOOK_BYTES_MAX
    return HOOK_BYTES_MAX if scope["path"].startswith("/hooks/") else BODY_BYTES_MAX


async def _read_body(scope: Scope, receive: Receive) -> bytes | int:
    """The whole body, or the status of the refusal."""
    if scope["method"] in {"GET", "HEAD", "OPTIONS"}:
        return b""
    announced = Headers(scope=scope).get("content-length", "0")
    if announced.isdigit() and int(announced) > _bytes_max(scope):
        return 413
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return 408
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > _bytes_max(scope):
                    return 413
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return 408


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Any]]:
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if not replayed:
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
