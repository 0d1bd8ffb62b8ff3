"""Proving which account on a forge is somebody's: OAuth 2 in a browser, or with a code to type.

    redirect   browser ─▶ authorize_url ─▶ the forge ─▶ back with a code ─▶ account_of
    device     begin ─▶ the person types the code at the forge ─▶ poll … poll ─▶ account

The token that comes of it is used to ask whose it is; whoever asked for it keeps or drops it. RFC
6749 and RFC 8628, with what GitHub does differently: it answers errors with status 200.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from pydantic import SecretStr

from adapters.chat.calling import under
from adapters.chat.port import Deadline, Rejected, Uncertain

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOW_DOWN_SECONDS = 5.0
"""RFC 8628, 3.5: by so much the pause grows whenever the forge asks for it."""


class Denied(Rejected):
    """The forge says no, and perhaps why; who tells a person does it in their language."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host} says no: {why}")
        self.host = host
        self.why = why
        """In the forge's words; empty: it gave no reason."""


@dataclass(frozen=True, kw_only=True)
class UserToken:
    """What acts as a person on a forge, and what another one is had with when it ends."""

    access: SecretStr
    refresh: SecretStr | None = None
    seconds: float | None = None
    """It lives so long from now; None: until somebody revokes it."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whose a token is."""

    id: str
    name: str
    """The login."""
    token: UserToken | None = field(default=None, compare=False, repr=False)
    """That token."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A code that a person has to type at the forge."""

    secret: str
    """What we poll with."""
    code: str
    url: str
    interval_seconds: float
    expires_seconds: float


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where a forge does it."""

    host: str
    authorize: str
    token: str
    device: str
    user: str
    scope: str
    """The least that tells whose a token is."""
    login: str
    """Name of the login in the answer of `user`."""


def github(web: str, api: str) -> Endpoints:
    """Of GitHub, or an Enterprise Server, by the addresses of its pages and its API."""
    host = web.partition("://")[2].rstrip("/")
    return Endpoints(
        host=host,
        authorize=f"{web}/login/oauth/authorize",
        token=f"{web}/login/oauth/access_token",
        device=f"{web}/login/device/code",
        user=f"{api}/user",
        scope="",
        login="login",
    )


def gitlab(web: str, *, acts: bool = False) -> Endpoints:
    """Of a GitLab by its address.

    :param acts: its tokens may do what the person may, and not only tell whose they are
    """
    host = web.partition("://")[2].rstrip("/")
    return Endpoints(
        host=host,
        authorize=f"{web}/oauth/authorize",
        token=f"{web}/oauth/token",
        device=f"{web}/oauth/authorize_device",
        user=f"{web}/api/v4/user",
        scope="api" if acts else "read_user",
        login="username",
    )


class Waiting(Exception):
    """The person has not typed the code yet."""

    def __init__(self, *, slower: bool) -> None:
        """:param slower: the forge wants longer pauses"""
        super().__init__("not yet")
        self.slower = slower


class Accounts:
    """Asks one forge whose account somebody has. Errors are those of `ChatPort`."""

    def __init__(
        self,
        endpoints: Endpoints,
        session: aiohttp.ClientSession,
        *,
        client_id: str,
        client_secret: str | None,
    ) -> None:
        """With `client_secret` None only the way with a code to type can be gone."""
        self.host = endpoints.host
        self.redirects = client_secret is not None
        """Whether the way by the browser can be gone."""
        self._at = endpoints
        self._session = session
        self._client_id = client_id
        self._client_secret = client_secret

    def authorize_url(self, state: str, back: str) -> str:
        """Where to send the browser, which comes back to `back` with `state` and a code."""
        asked = {
            "client_id": self._client_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": self._at.scope,
            "state": state,
        }
        return f"{self._at.authorize}?{urlencode(asked)}"

    async def account_of(self, code: str, back: str, deadline: Deadline) -> Account:
        """Whose the code is that a browser came back with. :raises Rejected: nobody's"""
        said = await self._post(
            self._at.token,
            deadline,
            grant_type="authorization_code",
            code=code,
            redirect_uri=back,
            client_secret=self._client_secret or "",
        )
        return await self._whose(said, deadline)

    async def begin(self, deadline: Deadline) -> Device:
        """A new code for a person to type."""
        said = await self._post(self._at.device, deadline, scope=self._at.scope)
        try:
            return Device(
                secret=str(said["device_code"]),
                code=str(said["user_code"]),
                url=str(said["verification_uri"]),
                interval_seconds=float(said.get("interval", 5)),
                expires_seconds=float(said["expires_in"]),
            )
        except (KeyError, TypeError, ValueError):
            raise Rejected(f"{self.host} gives no codes: {_why(said)}") from None

    async def poll(self, device: Device, deadline: Deadline) -> Account:
        """Whose account it is, once the person has typed the code.

        :raises Waiting: they have not yet
        :raises Rejected: they declined, or it is too late
        """
        said = await self._post(
            self._at.token, deadline, grant_type=DEVICE_GRANT, device_code=device.secret
        )
        if said.get("error") in {"authorization_pending", "slow_down"}:
            raise Waiting(slower=said["error"] == "slow_down")
        return await self._whose(said, deadline)

    async def refresh(self, token: SecretStr, deadline: Deadline) -> UserToken:
        """Another token for one that ends. :raises Rejected: it was taken back"""
        said = await self._post(
            self._at.token,
            deadline,
            grant_type="refresh_token",
            refresh_token=token.get_secret_value(),
            client_secret=self._client_secret or "",
        )
        found = _token(said)
        if found is None:
            raise Denied(self.host, _why(said))
        return found

    async def _whose(self, said: dict[str, Any], deadline: Deadline) -> Account:
        token = _token(said)
        if token is None:
            raise Denied(self.host, _why(said))
        shown = f"Bearer {token.access.get_secret_value()}"
        headers = {"Authorization": shown, "Accept": "application/json"}
        asking = self._session.get(self._at.user, headers=headers)
        async with under(deadline, self.host), asking as answer:
            found = await _read(answer)
        try:
            return Account(id=str(int(found["id"])), name=str(found[self._at.login]), token=token)
        except (KeyError, TypeError, ValueError):
            raise Uncertain(f"{self.host} does not say whose the token is") from None

    async def _post(self, url: str, deadline: Deadline, **values: str) -> dict[str, Any]:
        data = {"client_id": self._client_id, **values}
        headers = {"Accept": "application/json"}
        asking = self._session.post(url, data=data, headers=headers)
        async with under(deadline, self.host), asking as answer:
            return await _read(answer)


async def _read(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    if answer.status >= 500:
        raise Uncertain(f"status {answer.status}")
    try:
        said = await answer.json(content_type=None)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Uncertain("an answer that is no JSON object")
    return said


def _token(said: dict[str, Any]) -> UserToken | None:
    access, refresh, seconds = (
        said.get(name) for name in ("access_token", "refresh_token", "expires_in")
    )
    if not isinstance(access, str) or not access:
        return None
    return UserToken(
        access=SecretStr(access),
        refresh=SecretStr(refresh) if isinstance(refresh, str) and refresh else None,
        seconds=float(seconds) if isinstance(seconds, int | float) else None,
    )


def _why(said: dict[str, Any]) -> str:
    return str(said.get("error_description") or said.get("error") or "")[:200]
