"""The Web API: who calls, may they, how often, what do they get."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.slack.bad import Bad
from tests.fakes.slack.installed import Install
from tests.fakes.slack.limits import SCOPES, Throttled
from tests.fakes.slack.world import KIND_SCOPES, Channel, Message, Workspace

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack

Answer = dict[str, Any]
METHODS: dict[str, Callable[[Call], Answer]] = {}
APP_METHODS = {"apps.connections.open"}
"""Called with the token of the app, not of an installation."""
PAGE_MAX = 1000


class Refused(Exception):
    """`ok: false`, with an error code as Slack has it."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.answer = {"ok": False, "error": code} | more


@dataclass(kw_only=True)
class Call:
    """One request: what was asked, and by whom."""

    slack: FakeSlack
    method: str
    args: Mapping[str, Any]
    install: Install | None
    scopes: frozenset[str]

    @property
    def bot(self) -> Install:
        assert self.install is not None
        return self.install

    @property
    def team(self) -> Workspace:
        return self.bot.team

    def text(self, name: str, default: str = "") -> str:
        value = self.args.get(name)
        return default if value is None else str(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.args.get(name)
        return default if value is None else str(value).lower() in ("1", "true")

    def json(self, name: str, wrong: str) -> Any:
        """A part that is JSON, or a string of it in a form; None when there is none."""
        value = self.args.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise Refused(wrong) from None

    def need(self, scope: str) -> None:
        if scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            raise Refused("missing_scope", needed=scope, provided=provided)

    def channel(self, action: str | None = None, name: str = "channel") -> Channel:
        """The conversation that is meant, if the bot may know of it.

        :param action: `read` or `history`, when the scope of its kind is wanted
        """
        wanted = self.text(name)
        for channel in self.team.channels:
            if channel.id == wanted:
                if action is not None:
                    self.need(f"{KIND_SCOPES[channel.kind]}:{action}")
                if channel.kind == "channel" or self.bot.user in channel.members:
                    return channel
        raise Refused("channel_not_found")

    def inside(self, channel: Channel) -> None:
        if self.bot.user not in channel.members:
            raise Refused("not_in_channel")

    def message(self, channel: Channel, name: str) -> Message:
        found = channel.find(self.text(name))
        if found is None:
            raise Refused("message_not_found")
        return found

    def person(self, name: str) -> Person:
        """Somebody of this workspace, or who shares a channel with it."""
        for person in self.slack.people():
            if person.id == self.text(name) and self.team.sees(person):
                return person
        raise Refused("user_not_found")

    def page(self, items: list[Any], default: int = 100) -> tuple[list[Any], str]:
        """The part of a list that is asked for, and the cursor of the next one."""
        limit = int(self.text("limit") or default)
        if limit < 0:
            raise Refused("invalid_limit")
        cursor = self.text("cursor")
        if cursor and not cursor.startswith("next:"):
            raise Refused("invalid_cursor")
        start = int(cursor.removeprefix("next:") or 0)
        end = start + min(limit or default, PAGE_MAX)
        return items[start:end], f"next:{end}" if end < len(items) else ""


def method(name: str) -> Callable[[Callable[[Call], Answer]], Callable[[Call], Answer]]:
    """Make a function the method of that name."""

    def register(function: Callable[[Call], Answer]) -> Callable[[Call], Answer]:
        METHODS[name] = function
        return function

    return register


class WebApi:
    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Everything that was asked, also what met a bad day."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        args = await _arguments(request)
        bad = self._slack.bad.request(name)
        if bad.received:
            bad.received()
        self.requests.append((name, args))
        self._slack.changed()
        if bad.wait:
            await bad.wait.wait()
        turned_away = _turned_away(request, bad)
        if turned_away is not None:
            return turned_away
        answer = self._do(name, args, _token(request, args))
        if bad.stored:
            bad.stored()
        if bad.answer_wait:
            await bad.answer_wait.wait()
        spoilt = _spoilt(request, bad)
        return answer if spoilt is None else spoilt

    def _do(self, name: str, args: dict[str, Any], token: str) -> web.Response:
        try:
            call = self._call(name, args, token)
            answer = {"ok": True} | METHODS[name](call)
        except Refused as refused:
            return web.json_response(refused.answer)
        except Throttled as throttled:
            return _throttled(math.ceil(throttled.seconds))
        except Exception as error:
            self._slack.crashes.append(error)
            raise
        self._slack.changed()
        headers = {"X-OAuth-Scopes": ",".join(sorted(call.scopes))}
        return web.json_response(answer, headers=headers)

    def _call(self, name: str, args: dict[str, Any], token: str) -> Call:
        if name not in METHODS:
            raise Refused("unknown_method", req_method=name)
        if not token:
            raise Refused("not_authed")
        install, scopes = self._authenticate(token)
        if (install is None) != (name in APP_METHODS):
            raise Refused("not_allowed_token_type")
        call = Call(slack=self._slack, method=name, args=args, install=install, scopes=scopes)
        team = install.team.id if install else ""
        self._slack.limits.take(name, team, call.text("channel"))
        if name in SCOPES:
            call.need(SCOPES[name])
        return call

    def _authenticate(self, token: str) -> tuple[Install | None, frozenset[str]]:
        scopes = self._slack.app.app_tokens.get(token)
        if scopes is not None:
            return None, scopes
        for install in self._slack.installs():
            if install.token == token:
                if install.revoked:
                    raise Refused("account_inactive")
                return install, frozenset(install.scopes)
        raise Refused("invalid_auth")


def _turned_away(request: web.Request, bad: Bad) -> web.Response | None:
    """The answer to a request for which nothing is done, if this is one."""
    if bad.drop:
        return _dropped(request)
    if bad.throttle_seconds is not None:
        return _throttled(bad.throttle_seconds)
    if bad.refused is not None:
        return web.json_response({"ok": False, "error": bad.refused})
    return None if bad.status is None else _page(bad.status)


def _spoilt(request: web.Request, bad: Bad) -> web.Response | None:
    """What comes instead of the answer to a request that was done."""
    if bad.drop_answer:
        return _dropped(request)
    if bad.answer_status is not None:
        return _page(bad.answer_status)
    if bad.wrong is None:
        return None
    return web.Response(body=bad.wrong, content_type="application/json")


async def _arguments(request: web.Request) -> dict[str, Any]:
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        args |= await request.json() if request.can_read_body else {}
    else:
        args |= dict(await request.post())
    return args


def _token(request: web.Request, args: dict[str, Any]) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ") if header else str(args.pop("token", ""))


def _throttled(seconds: int) -> web.Response:
    return web.json_response(
        {"ok": False, "error": "ratelimited"},
        status=429,
        headers={"Retry-After": str(max(1, seconds))},
    )


def _page(status: int) -> web.Response:
    return web.Response(status=status, text="<html>Oops</html>", content_type="text/html")


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
