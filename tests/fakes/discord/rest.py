"""The HTTP interface: who asks, which route it is, its limits and bad days, and its answer."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.discord import payloads, refused
from tests.fakes.discord.app import App
from tests.fakes.discord.bad import Bad
from tests.fakes.discord.rates import body_429, headers_429
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.world import Attachment, Message

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

Handler = Callable[["Asked"], "Awaitable[Any] | Any"]
Given = TypeVar("Given", bound=Handler)
ROUTES: dict[str, Handler] = {}
OPEN = ("/webhooks/", "/interactions/")
"""What a token in the path opens; the global limit does not count these."""
VIA = {"Via": "1.1 fake"}
"""Without it, clients take a 429 for a ban."""


@dataclass(kw_only=True)
class Asked:
    """A request, read."""

    discord: FakeDiscord
    app: App | None
    route: str
    path: dict[str, str]
    query: Mapping[str, str]
    body: Any
    files: dict[str, tuple[str, bytes, str]]
    """By the name of the part: file name, content, type."""

    @property
    def me(self) -> App:
        if self.app is None:
            raise refused.unauthorized()
        return self.app

    def number(self, name: str) -> int:
        value = self.path[name]
        if not value.isdigit():
            words = f'Value "{value}" is not snowflake.'
            raise refused.form(f"{name}_id", "NUMBER_TYPE_COERCE", words)
        return int(value)


def route(pattern: str) -> Callable[[Given], Given]:
    """Register the handler of a route; the pattern is its name in bad days and limits."""

    def register(handler: Given) -> Given:
        ROUTES[pattern] = handler
        return handler

    return register


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern))


class Rest:
    """Every route there is."""

    def __init__(self, discord: FakeDiscord) -> None:
        from tests.fakes.discord import (
            routes_answers,
            routes_messages,
            routes_rest,
            routes_threads,
        )

        self.discord = discord
        self.requests: list[tuple[str, dict]] = []
        """What was asked, in its order: routes with their bodies."""
        modules = (routes_messages, routes_rest, routes_threads, routes_answers)
        assert all(modules)
        self._routes = [(name, _regex(name)) for name in sorted(ROUTES, key=_weight)]

    def known(self, name: str) -> None:
        assert name in ROUTES, f"there is no route {name}; there are {sorted(ROUTES)}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            return await self._handle(request)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self.discord.crashes.append(error)
            return _answer(500, {"message": repr(error), "code": 0})

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name, path = self._match(request)
        if name is None:
            return self._refuse(refused.no_route(), {})
        bad = self.discord.bad.of_request(name)
        if bad.received:
            bad.received()
        body, files = await _read(request)
        if bad.wait:
            await bad.wait.wait()
        self.requests.append((name, body))
        if bad.drop:
            return _cut(request)
        early = self._badly(bad)
        if early:
            return early
        token = request.headers.get("Authorization", "").removeprefix("Bot ")
        asked = Asked(
            discord=self.discord,
            app=self.discord.app_of(token),
            route=name,
            path=path,
            query=request.query,
            body=body,
            files=files,
        )
        answer = await self._limited(asked, token)
        self.discord.touch()
        return await self._after(bad, request, answer)

    def _match(self, request: web.Request) -> tuple[str | None, dict[str, str]]:
        path = request.raw_path.partition("?")[0].removeprefix("/api/v10")
        for name, pattern in self._routes:
            if found := pattern.fullmatch(f"{request.method} {path}"):
                return name, {key: unquote(value) for key, value in found.groupdict().items()}
        return None, {}

    def _badly(self, bad: Bad) -> web.Response | None:
        if bad.throttle_seconds is not None:
            return self._throttle(bad.throttle_seconds, bad.throttle_scope, {})
        if bad.status is not None:
            return self._refuse(Refused(bad.status, bad.code, bad.message), {})
        return None

    async def _limited(self, asked: Asked, token: str) -> web.Response:
        if self.discord.rates.banned:
            return web.Response(status=429, text="error code: 1015")
        is_open = any(word in asked.route for word in OPEN)
        if asked.app is None and not is_open:
            return self._refuse(refused.unauthorized(), {})
        major = next(iter(asked.path.values()), "") + (asked.path.get("token", ""))
        verdict = self.discord.rates.take(token, asked.route, major, globally=not is_open)
        if verdict.retry_seconds is not None:
            return self._throttle(verdict.retry_seconds, verdict.scope, verdict.headers)
        try:
            answer = ROUTES[asked.route](asked)
            done = await answer if asyncio.iscoroutine(answer) else answer
        except Refused as error:
            return self._refuse(error, verdict.headers)
        self.discord.rates.count(200)
        return _answer(204 if done is None else 200, done, verdict.headers)

    def _refuse(self, error: Refused, headers: dict[str, str]) -> web.Response:
        scope = "shared" if error.code == 30046 else "user"
        self.discord.rates.count(error.status, scope)
        if error.status == 429:
            headers = headers_429(error.more["retry_after"], scope, headers) | VIA
        return _answer(error.status, error.body(), headers)

    def _throttle(self, seconds: float, scope: str, headers: dict[str, str]) -> web.Response:
        self.discord.rates.count(429, scope)
        headers = headers_429(seconds, scope, headers) | VIA
        return _answer(429, body_429(seconds, scope), headers)

    async def _after(
        self, bad: Bad, request: web.Request, answer: web.Response
    ) -> web.StreamResponse:
        if bad.stored:
            bad.stored()
        if bad.answer_wait:
            await bad.answer_wait.wait()
        if bad.drop_answer:
            return _cut(request)
        if bad.status_after is not None:
            return self._refuse(Refused(bad.status_after, bad.code, bad.message), {})
        return answer

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file that was attached to a message."""
        found = self.discord.files.get(int(request.match_info["file"]))
        if found is None or found.name != request.match_info["name"]:
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=found.data, content_type=found.content_type)

    def attach(self, files: Mapping[str, bytes]) -> list[Attachment]:
        """Keep files so that they can be downloaded."""
        made = []
        for name, data in files.items():
            type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            number = self.discord.clock.snowflake()
            made.append(Attachment(id=number, name=name, data=data, content_type=type))
            self.discord.files[number] = made[-1]
        return made

    def message(self, message: Message, app: App) -> dict:
        return payloads.message(message, app.user, self.discord.url, content=app.knows_content)


def _weight(name: str) -> int:
    """Literal names before placeholders."""
    return name.count("{")


async def _read(request: web.Request) -> tuple[Any, dict[str, tuple[str, bytes, str]]]:
    if request.content_type == "multipart/form-data":
        body: Any = {}
        files = {}
        for name, part in (await request.post()).items():
            if isinstance(part, web.FileField):
                files[name] = (part.filename, part.file.read(), part.content_type)
            elif name == "payload_json":
                body |= json.loads(part)
            else:
                body[name] = part
        return body, files
    data = await request.read()
    return (json.loads(data) if data else {}), {}


def _answer(status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
    if status == 204:
        return web.Response(status=204, headers=headers)
    data = json.dumps(body).encode()
    return web.Response(status=status, body=data, content_type="application/json", headers=headers)


def _cut(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()
