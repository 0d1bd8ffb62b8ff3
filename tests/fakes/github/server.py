"""A GitHub: a server on 127.0.0.1 in front of the emulator, with what that lacks.

client ──▶ bad days, limits ──▶ a route of ours, or the emulator ──▶ ETag ──▶ client
                                                   └── webhooks ──▶ put right, signed ──▶ heard
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from tests.fakes.github import happening, registering, routes_app
from tests.fakes.github.bad import Bad, BadDays
from tests.fakes.github.ci import Ci
from tests.fakes.github.happening import Happenings
from tests.fakes.github.hooks import Hooks
from tests.fakes.github.limits import CONTENT_VERBS, SECONDARY, RateLimits
from tests.fakes.github.people import Person, Repository
from tests.fakes.github.program import OTHER, OURS, PEOPLE, Emulator
from tests.fakes.github.registering import Registration
from tests.fakes.github.requests import Actor, Refused, Reply, Request, Tokens
from tests.fakes.github.routes import ROUTES
from tests.fakes.github.upstream import Upstream
from tests.fakes.github.world import World

ROUTE_FILES = (happening, routes_app, registering)
"""Importing them registers their routes."""
SERVER, SERVER_GRAPHQL = "/api/v3", "/api/graphql"
"""Where the API is on an Enterprise Server: there it can be had as well."""
CODED = re.compile(r"/app-manifests/[^/]+/conversions$")
BODY_BYTES_MAX = 4 * 1024 * 1024


class FakeGitHub:
    """Everything there is; tests make repositories, and let people act in them."""

    def __init__(self, emulator: Emulator) -> None:
        self.app = OURS
        self.private_key = emulator.private_key
        self.url = ""
        self.git: Path | None = None
        """Where its repositories lie as bare ones, for tests in which there is git."""
        self.world = World()
        self.registered = Registration()
        self.ci = Ci(github=self)
        self.happenings = Happenings(github=self)
        self.limits = RateLimits()
        self.bad = BadDays()
        self.requests: list[tuple[str, str, int]] = []
        """Verb, path and answered status of each request that was answered."""
        self.tokens = Tokens(_public(emulator.private_key))
        self.people = {login: Person(github=self, login=login) for login in PEOPLE}
        self._emulator = emulator
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession()
        # One for both would wait for itself when as many people ask as it has connections.
        # The emulator ends connections that are idle for 5 s: one is not used again.
        behind = aiohttp.TCPConnector(limit=0, force_close=True)
        self._behind = aiohttp.ClientSession(connector=behind)
        self.upstream = Upstream(self._emulator, self._behind)
        self.hooks = Hooks(self)
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_post("/_emulator/hook", self.hooks.receive)
        self.registered.pages(application)
        application.router.add_get("/_store/logs/{job}", self.ci.stored)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = self.upstream.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self.session.close()
        await self._behind.close()
        if self.hooks.crashes:
            raise self.hooks.crashes.pop()

    def __getattr__(self, login: str) -> Person:
        """People are known by their names: `github.ann`."""
        try:
            return self.__dict__["people"][login]
        except KeyError:
            raise AttributeError(login) from None

    async def repository(self, name: str = "shop", *, private: bool = False) -> Repository:
        """A new one of `acme`, in which the apps are installed."""
        return await self.acme.creates(name, private=private)

    async def by_other_app(self, verb: str, path: str, body: dict[str, Any]) -> Any:
        """Let the other app do something, as what it is in the repositories of `acme`."""
        now = int(time.time())
        claims = {"iat": now, "exp": now + 60, "iss": str(OTHER.id)}
        key = jwt.encode(claims, self.private_key, algorithm="RS256")
        issue = f"/app/installations/{OTHER.installation}/access_tokens"
        token = (await self.ask("POST", issue, {}, f"Bearer {key}"))["token"]
        return await self.ask(verb, path, body, f"token {token}")

    async def ask(self, verb: str, path: str, body: Any, authorization: str) -> Any:
        """Make a request that is expected to go well."""
        headers = {"Authorization": authorization}
        url = f"{self.url}{path}"
        async with self.session.request(verb, url, json=body, headers=headers) as answer:
            data = await answer.json() if answer.status != 204 else None
            assert answer.status < 300, (verb, path, answer.status, data)
            return data

    def behave(self, verb: str, path: str, *bad: Bad) -> None:
        """Let the next requests whose path fits the pattern meet these, one each."""
        for one in bad:
            self.bad.add(verb, path, one)

    def changed(self) -> None:
        """Wake everybody who waits in `until`."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, true: Callable[[], object], seconds: float = 100) -> None:
        """Wait for a condition, which may become true with anything that happens here."""
        async with asyncio.timeout(seconds):
            while not true():
                await self._moved.wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        bad = self.bad.next(request.method, request.path)
        if bad.received:
            bad.received()
        if bad.wait:
            await bad.wait.wait()
        if bad.drop:
            return self._drop(request)
        if bad.status is not None:
            reply = Reply(status=bad.status, data={"message": bad.words}, headers=bad.headers)
        else:
            reply = await self._reply(request)
        self.requests.append((request.method, request.path, reply.status))
        self.changed()
        if bad.stored:
            bad.stored()
        if bad.answer_wait:
            await bad.answer_wait.wait()
        if bad.drop_answer:
            return self._drop(request)
        return web.Response(
            status=bad.answer_status or reply.status,
            body=reply.body if bad.wrong is None else bad.wrong,
            headers=reply.headers,
            content_type="application/json",
        )

    async def _reply(self, raw: web.Request) -> Reply:
        try:
            text = await raw.text()
            request = Request(
                verb=raw.method,
                path=raw.path.removeprefix(SERVER).replace(SERVER_GRAPHQL, "/graphql"),
                query=dict(raw.query),
                body=json.loads(text) if text else {},
                headers=raw.headers,
                actor=self._actor(raw),
            )
            return await self._within_limits(request)
        except Refused as refused:
            return refused.reply

    def _actor(self, raw: web.Request) -> Actor:
        """Who asks; nobody has to be, with the code of a manifest."""
        if CODED.search(raw.path):
            return Actor(login="")
        return self.tokens.actor(raw.headers)

    async def _within_limits(self, request: Request) -> Reply:
        app = request.actor.app
        if app is None or request.actor.is_app:
            return await self._do(request)
        here = app.installation
        self.limits.spent[here] += 1
        if self.limits.spent[here] > self.limits.requests_an_hour:
            words = "API rate limit exceeded for installation."
            raise Refused(403, words, **self.limits.headers(here))
        if request.verb in CONTENT_VERBS and request.path != "/graphql":
            seconds = self.limits.content(here)
            if seconds is not None:
                raise Refused(403, SECONDARY, **{"retry-after": str(seconds)})
        reply = await self._do(request)
        if reply.status == 304:
            self.limits.spent[here] -= 1
        reply.headers |= self.limits.headers(here)
        return reply

    async def _do(self, request: Request) -> Reply:
        for verb, pattern, route in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and verb == request.verb:
                reply = await route(self, request, *found.groups())
                break
        else:
            reply = await self.upstream.send(request)
        self.world.note(request, reply)
        if request.verb == "GET" and reply.status == 200:
            etag = f'W/"{hashlib.sha256(reply.body).hexdigest()}"'
            reply.headers["ETag"] = etag
            if request.headers.get("If-None-Match") == etag:
                return Reply(status=304, headers=reply.headers)
        return reply

    @staticmethod
    def _drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


def _public(private_key: str) -> str:
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
