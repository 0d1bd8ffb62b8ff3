"""A request to the API, who makes it, and what it is answered with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from tests.fakes.github.program import APPS, PEOPLE, FakeApp, token_of


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.reply = Reply(status=status, data={"message": message}, headers=headers)


NOT_FOUND = "Not Found"


@dataclass(kw_only=True)
class Reply:
    status: int = 200
    data: Any = None
    """What becomes the body, as JSON; None: it is empty."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return b"" if self.data is None else json.dumps(self.data).encode()


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who makes a request."""

    login: str
    app: FakeApp | None = None
    is_app: bool = False
    """It is the app itself, not what it is in an installation."""


@dataclass(frozen=True, kw_only=True)
class Request:
    verb: str
    path: str
    query: Mapping[str, str]
    body: dict[str, Any]
    headers: Mapping[str, str]
    actor: Actor

    def number(self, name: str, default: int) -> int:
        return int(self.query.get(name, default))


class Tokens:
    """Whom a request is from, by what it is authorised with."""

    def __init__(self, public_key: str) -> None:
        self._public_key = public_key
        self._people = {token_of(login): Actor(login=login) for login in PEOPLE}
        self._installed: dict[str, Actor] = {}
        self.ever: list[str] = []
        """Every token of an installation that was ever issued."""

    def issued(self, token: str, app: FakeApp) -> None:
        self._installed[token] = Actor(login=app.login, app=app)
        self.ever.append(token)

    def end(self, token: str) -> None:
        """Let one be worth nothing."""
        del self._installed[token]

    def revoke(self) -> None:
        """Let all tokens of installations be worth nothing."""
        self._installed.clear()

    def actor(self, headers: Mapping[str, str]) -> Actor:
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        actor = self._people.get(token) or self._installed.get(token)
        if actor is None and scheme == "Bearer":
            actor = self._app(token)
        if actor is None:
            raise Refused(401, "Bad credentials")
        return actor

    def _app(self, token: str) -> Actor | None:
        try:
            claims = jwt.decode(token, self._public_key, algorithms=["RS256"])
        except jwt.PyJWTError:
            return None
        if claims["exp"] - claims["iat"] > 660:
            return None
        app = next((one for one in APPS if str(one.id) == claims["iss"]), None)
        return app and Actor(login=app.slug, app=app, is_app=True)
