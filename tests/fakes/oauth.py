"""A forge's OAuth 2 over real HTTP: both ways, with people who agree, decline or dawdle."""

import secrets
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.support.serving import served


@dataclass
class Asked:
    """Somebody was asked."""

    account: int | None = None
    """Who agreed; None: nobody yet."""
    declined: bool = False
    back: str = ""
    used: bool = False


@dataclass
class FakeOAuth:
    """Knows accounts by number and login; answers as GitHub or as GitLab does."""

    url: str = ""
    github: bool = True
    client_id: str = "app"
    client_secret: str = "s3cret"
    logins: dict[int, str] = field(default_factory=lambda: {1: "ann", 2: "bo"})
    asked: dict[str, Asked] = field(default_factory=dict)
    """By device code or code."""
    user_codes: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    refreshes: dict[str, int] = field(default_factory=dict)
    """Whose each refresh token is; it works once."""
    token_seconds: float | None = None
    """How long tokens live; None: they do not end, and none is refreshed."""
    expires_seconds: float = 900
    slow: int = 0
    """Answer so many polls with `slow_down`."""
    broken: bool = False

    def types(self, user_code: str, account: int) -> None:
        """A person types the code and agrees."""
        self.asked[self.user_codes[user_code]].account = account

    def declines(self, user_code: str) -> None:
        """A person types the code and says no."""
        self.asked[self.user_codes[user_code]].declined = True

    def agrees(self, authorize_url: str, account: int) -> str:
        """A person's browser is at the forge and agrees: where it is sent."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(authorize_url).query))
        assert asked["client_id"] == self.client_id
        assert asked["response_type"] == "code"
        code = secrets.token_hex(8)
        self.asked[code] = Asked(account=account, back=asked["redirect_uri"])
        query = urllib.parse.urlencode({"code": code, "state": asked["state"]})
        return f"{asked['redirect_uri']}?{query}"

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/login/device/code", self._device)
        app.router.add_post("/oauth/authorize_device", self._device)
        app.router.add_post("/login/oauth/access_token", self._token)
        app.router.add_post("/oauth/token", self._token)
        app.router.add_get("/user", self._user)
        app.router.add_get("/api/v4/user", self._user)
        return app

    def _error(self, error: str) -> web.Response:
        status = 200 if self.github else 400
        return web.json_response(
            {"error": error, "error_description": f"because {error}"}, status=status
        )

    async def _device(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.broken:
            return web.Response(status=502, text="<html>bad gateway")
        if form.get("client_id") != self.client_id:
            return self._error("invalid_client")
        device, user_code = secrets.token_hex(20), secrets.token_hex(4).upper()
        self.asked[device] = Asked()
        self.user_codes[user_code] = device
        return web.json_response(
            {
                "device_code": device,
                "user_code": user_code,
                "verification_uri": f"{self.url}/login/device",
                "expires_in": self.expires_seconds,
                "interval": 0.05,
            }
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") == "refresh_token":
            return self._refreshed(str(form["refresh_token"]), str(form.get("client_secret")))
        return self._granted(form)

    def _refreshed(self, refresh: str, client_secret: str) -> web.Response:
        account = self.refreshes.pop(refresh, None)
        if account is None or client_secret != self.client_secret:
            return self._error("bad_refresh_token")
        return self._issued(account)

    def _granted(self, form: Mapping[str, object]) -> web.Response:
        is_device = str(form.get("grant_type", "")).endswith("device_code")
        asked = self.asked.get(str(form.get("device_code" if is_device else "code")))
        if asked is None or asked.used or form.get("client_id") != self.client_id:
            return self._error("invalid_grant")
        if not is_device and (
            form.get("client_secret") != self.client_secret
            or form.get("redirect_uri") != asked.back
        ):
            return self._error("invalid_client")
        if self.slow:
            self.slow -= 1
            return self._error("slow_down")
        if asked.declined:
            return self._error("access_denied")
        if asked.account is None:
            return self._error("authorization_pending")
        asked.used = True
        return self._issued(asked.account)

    def _issued(self, account: int) -> web.Response:
        token = secrets.token_hex(20)
        self.tokens[token] = account
        said: dict[str, object] = {"access_token": token, "token_type": "bearer"}
        if self.token_seconds is not None:
            refresh = secrets.token_hex(20)
            self.refreshes[refresh] = account
            said |= {"expires_in": self.token_seconds, "refresh_token": refresh}
        return web.json_response(said)

    async def _user(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        number = self.tokens.get(token)
        if number is None:
            return web.json_response({"message": "Bad credentials"}, status=401)
        login = "login" if self.github else "username"
        return web.json_response({"id": number, login: self.logins[number], "name": "Bo Derek"})


@asynccontextmanager
async def oauth(*, github: bool = True) -> AsyncIterator[FakeOAuth]:
    fake = FakeOAuth(github=github)
    async with served(fake.app()) as url:
        fake.url = url
        yield fake
