"""The REST API: who asks, may they, how often, what do they get."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.gitlab.bad import Bad
from tests.fakes.gitlab.world import REPORTER, Note, Noteable, Project

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person
    from tests.fakes.gitlab.server import FakeGitLab

PAGE, PAGE_MAX = 20, 100


class Refused(Exception):
    """An error as GitLab answers it."""

    def __init__(self, status: int, message: object) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Made:
    """An answer that is not 200, or no JSON."""

    status: int
    data: Any = None
    text: str | None = None


@dataclass(frozen=True)
class Listed:
    """A list, of which the answer has a page."""

    items: Sequence[Any]


@dataclass(kw_only=True)
class Call:
    """One request: what was asked, and by whom."""

    gitlab: FakeGitLab
    user: Person
    where: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)

    def number(self, name: str) -> int:
        try:
            return int(self.where[name])
        except ValueError:
            raise Refused(400, {"error": f"{name} is invalid"}) from None

    def text(self, name: str) -> str:
        value = self.body.get(name)
        if not isinstance(value, str) or not value.strip():
            raise Refused(400, {"error": f"{name} is missing"})
        return value

    @property
    def project(self) -> Project:
        wanted = self.where["project"]
        for project in self.gitlab.projects:
            if wanted in {project.path, str(project.id)} and project.can_read(self.user):
                return project
        raise Refused(404, "404 Project Not Found")

    @property
    def noteable(self) -> Noteable:
        for one in self.project.noteables:
            if (one.kind, one.iid) == (self.where["kind"], self.number("iid")):
                return one
        raise Refused(404, "404 Not found")

    def sees(self, note: Note) -> bool:
        return not note.internal or note.noteable.project.level(self.user) >= REPORTER

    @property
    def note(self) -> Note:
        for one in self.noteable.notes:
            if one.id == self.number("note") and self.sees(one):
                return one
        raise Refused(404, "404 Note Not Found")


Act = Callable[[Call], Any]
ROUTES: list[tuple[str, str, str, Act]] = []
"""Method, path, name and what it does."""


def route(method: str, path: str, name: str) -> Callable[[Act], Act]:
    """Make a function what an endpoint does; `name` is what `behave` calls it."""

    def register(act: Act) -> Act:
        ROUTES.append((method, path, name, act))
        return act

    return register


class Rest:
    def __init__(self, gitlab: FakeGitLab) -> None:
        self._gitlab = gitlab
        self.requests: list[tuple[str, str]] = []
        """Names and paths of everything that was asked, also what met a bad day."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route(method, f"/api/v4{path}", self._handler(name, act))
            for method, path, name, act in ROUTES
        ]

    def asked(self, name: str) -> int:
        """How often an endpoint was asked."""
        return sum(one == name for one, _ in self.requests)

    def _handler(
        self, name: str, act: Act
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            bad = self._gitlab.bad.next(name)
            body = await request.read()
            self.requests.append((name, request.path))
            self._gitlab.changed()
            if bad.received:
                bad.received()
            if bad.wait:
                await bad.wait.wait()
            turned_away = _turned_away(request, bad)
            if turned_away is not None:
                return turned_away
            answer = self._do(request, name, act, body)
            answer.headers["Date"] = f"{self._gitlab.clock.now():%a, %d %b %Y %H:%M:%S} GMT"
            if bad.stored:
                bad.stored()
            if bad.answer_wait:
                await bad.answer_wait.wait()
            spoilt = _spoilt(request, bad)
            return answer if spoilt is None else spoilt

        return handle

    def _do(self, request: web.Request, name: str, act: Act, body: bytes) -> web.Response:
        limits = self._gitlab.limits
        user = self._user(request)
        if user is None:
            return web.json_response({"message": "401 Unauthorized"}, status=401)
        if not user.scopes or not _suffice(request, name, user.scopes):
            said = "The request requires higher privileges than provided by the access token."
            refused = {"error": "insufficient_scope", "error_description": said, "scope": "api"}
            return web.json_response(refused, status=403)
        wait = limits.take("requests", user, limits.requests_a_minute)
        if wait:
            headers = limits.headers(user) | {"Retry-After": str(math.ceil(wait))}
            return web.Response(status=429, text="Retry later\n", headers=headers)
        if name == "notes.create" and limits.take("notes", user, limits.notes_a_minute):
            said = "This endpoint has been requested too many times. Try again later."
            return web.json_response({"message": {"error": said}}, status=429)
        try:
            answer = _answered(request, act(self._call(request, user, body)))
        except Refused as refused:
            answer = web.json_response({"message": refused.message}, status=refused.status)
        except Exception as error:
            self._gitlab.crashes.append(error)
            raise
        answer.headers.update(limits.headers(user))
        return answer

    def _call(self, request: web.Request, user: Person, body: bytes) -> Call:
        return Call(
            gitlab=self._gitlab,
            user=user,
            where=dict(request.match_info),
            query=dict(request.query),
            body=json.loads(body) if body else {},
        )

    def _user(self, request: web.Request) -> Person | None:
        token = request.headers.get("PRIVATE-TOKEN") or request.headers.get(
            "Authorization", ""
        ).removeprefix("Bearer ")
        found = (one for one in self._gitlab.people if token and one.token == token)
        return next(found, None)


def _suffice(request: web.Request, name: str, scopes: Sequence[str]) -> bool:
    """Whether a token with these scopes may ask that."""
    if "api" in scopes or name == "token.show":
        return True
    if name == "user.show" and "read_user" in scopes:
        return True
    return request.method == "GET" and "read_api" in scopes


def _answered(request: web.Request, result: Any) -> web.Response:
    if isinstance(result, Made):
        if result.text is not None:
            return web.Response(status=result.status, text=result.text)
        if result.data is None:
            return web.Response(status=result.status)
        return web.json_response(result.data, status=result.status)
    if isinstance(result, Listed):
        return _page(request, result.items)
    return web.json_response(result)


def _page(request: web.Request, items: Sequence[Any]) -> web.Response:
    number = int(request.query.get("page") or 1)
    size = min(int(request.query.get("per_page") or PAGE), PAGE_MAX)
    start, last = (number - 1) * size, max(1, math.ceil(len(items) / size))
    following = number + 1 if number < last else None
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": str(following or ""),
        "X-Prev-Page": str(number - 1 if number > 1 else ""),
        "X-Total": str(len(items)),
        "X-Total-Pages": str(last),
    }
    if following is not None:
        url = request.url.update_query(page=following)
        headers["Link"] = f'<{url}>; rel="next"'
    return web.json_response(list(items[start : start + size]), headers=headers)


def _turned_away(request: web.Request, bad: Bad) -> web.Response | None:
    """The answer to a request for which nothing is done, if this is one."""
    if bad.drop:
        return _dropped(request)
    if bad.moved is not None:
        return web.Response(status=301, headers={"Location": bad.moved})
    if bad.throttle_seconds is not None:
        headers = {"Retry-After": str(bad.throttle_seconds)}
        return web.Response(status=429, text="Retry later\n", headers=headers)
    if bad.status is None:
        return None
    return web.json_response({"message": f"{bad.status} of a bad day"}, status=bad.status)


def _spoilt(request: web.Request, bad: Bad) -> web.Response | None:
    """What comes instead of the answer to a request that was done."""
    if bad.drop_answer:
        return _dropped(request)
    if bad.answer_status is not None:
        return web.Response(status=bad.answer_status, text="<html>Whoops, something went wrong")
    if bad.wrong is None:
        return None
    return web.Response(body=bad.wrong, content_type="application/json")


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
