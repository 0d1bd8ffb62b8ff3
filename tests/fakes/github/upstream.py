"""What the emulator says, in the words of GitHub.

It writes times with milliseconds, takes every account for a person's, calls what a collaborator
may do by other names, and says of nothing that an app has done it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from tests.fakes.github.limits import CONTENT_VERBS
from tests.fakes.github.program import APPS, Emulator
from tests.fakes.github.requests import Refused, Reply, Request

_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d{3}Z"')
_APPS = {app.login: {"id": app.id, "slug": app.slug, "name": app.slug} for app in APPS}
PAGE = 100


class Upstream:
    """Speaks to the emulator; addresses in what it says are those of the fake."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self._session = session
        self.url = ""
        """Of the fake."""

    async def send(self, request: Request, *, path: str = "", body: Any = None) -> Reply:
        """Let the emulator do what was asked, or `path` with `body` instead."""
        if request.verb in CONTENT_VERBS:
            body = request.body if body is None else body
        path = path or request.path
        return await self.ask(request.verb, path, request.query, body, _auth(request))

    async def ask(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        headers: Mapping[str, str],
    ) -> Reply:
        async with self._session.request(
            verb,
            self._emulator.url.replace("localhost", "127.0.0.1") + path,
            params=dict(query),
            json=body,
            headers=headers,
        ) as answer:
            text = await answer.text()
            return Reply(status=answer.status, data=self.read(text) if text else None)

    async def all(
        self, request: Request, path: str = "", *, query: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """All entries of a list. :raises Refused: what the emulator answers instead"""
        entries: list[dict[str, Any]] = []
        while True:
            page = {**(query or {}), "per_page": str(PAGE), "page": str(len(entries) // PAGE + 1)}
            reply = await self.ask("GET", path or request.path, page, None, _auth(request))
            if reply.status != 200:
                raise Refused(reply.status, reply.data.get("message", ""))
            entries += reply.data
            if len(reply.data) < PAGE:
                return entries

    async def get(self, request: Request, path: str) -> Any:
        """Something else than what was asked for. :raises Refused: it is not there"""
        reply = await self.ask("GET", path, {}, None, _auth(request))
        if reply.status != 200:
            raise Refused(reply.status, reply.data.get("message", ""))
        return reply.data

    def read(self, text: str) -> Any:
        """What the emulator has written, put right."""
        said = _TIME.sub(r'"\1Z"', text).replace(self._emulator.url, self.url)
        try:
            return json.loads(said, object_hook=_put_right)
        except ValueError:
            return {"message": said}


def _auth(request: Request) -> dict[str, str]:
    return {"Authorization": request.headers["Authorization"]}


def _put_right(found: dict[str, Any]) -> dict[str, Any]:
    if str(found.get("login", "")).endswith("[bot]"):
        found["type"] = "Bot"
    if "performed_via_github_app" in found and found.get("user"):
        found["performed_via_github_app"] = _APPS.get(found["user"]["login"])
    return found
