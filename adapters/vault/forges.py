"""Grants of code hosts: tokens that work for a project's repositories alone.

They live in this process's memory. For revocation after a crash GitHub wants the token itself: it
is written down sealed by Vault's transit engine, which opens it for nobody but us.
"""

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from urllib.parse import quote

from github.Auth import JWT, Auth, Token
from pydantic import SecretStr

from adapters.blocking import Bridge
from adapters.chat.port import ChatError, Deadline, Gone, Rejected, Throttled
from adapters.forge.github.calls import API, Answer, Calls
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.levels import DEVELOPER
from adapters.forge.port import NotLetIn
from adapters.vault.client import Vault
from adapters.vault.errors import Misasked, Missing, Unreachable, VaultBug, VaultError
from adapters.vault.port import ONLY_INJECTED, Issued, Request, Trail
from adapters.vault.sealing import Sealing

JWT_SECONDS = 540
"""Life of what the app shows to GitHub, which takes ten minutes at most."""
JWT_SPARE_SECONDS = 120
INSTALLATIONS_MAX = 1000
GITLAB_SCOPES = ("read_repository",)


class AppKey:
    """The private key of a GitHub App in Vault's transit engine, which signs and keeps it."""

    def __init__(self, vault: Vault, app_id: str, *, key: str, mount: str) -> None:
        """`key` is the name of an RSA key in the transit engine at `mount`."""
        self._vault = vault
        self._app_id = app_id
        self._key = key
        self._mount = mount
        self._signed: tuple[str, float] | None = None

    async def token(self, deadline: Deadline) -> str:
        """A JWT (RS256) that says to GitHub that we are the app. :raises VaultError:"""
        if self._signed is None or self._signed[1] <= monotonic():
            until = monotonic() + JWT_SECONDS - JWT_SPARE_SECONDS
            self._signed = (await self._sign(deadline), until)
        return self._signed[0]

    async def _sign(self, deadline: Deadline) -> str:
        # GitHub's clock may be behind ours.
        now = int(time()) - 60
        claims = {"iss": self._app_id, "iat": now, "exp": now + 60 + JWT_SECONDS}
        said = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(claims)}"
        answer = await self._vault.run(
            lambda client: client.secrets.transit.sign_data(
                name=self._key,
                hash_input=base64.b64encode(said.encode()).decode(),
                hash_algorithm="sha2-256",
                signature_algorithm="pkcs1v15",
                mount_point=self._mount,
            ),
            deadline,
        )
        signature = base64.b64decode(answer["data"]["signature"].rpartition(":")[2])
        return f"{said}.{_encoded(signature)}"


class _App(JWT):
    """How PyGithub shows such a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    @property
    def token(self) -> str:
        return self._token

    @property
    def _masked_token(self) -> str:
        return "(jwt removed)"


class GitHubTokens:
    """Installation tokens of a GitHub App, narrowed.

    Options: `repositories`, `owner/name` each, of one owner; `permissions`, such as
    `{contents = "read"}`. GitHub ends them after an hour.
    """

    modes = ONLY_INJECTED
    by_token = False
    seconds_max = 3600.0

    def __init__(self, key: AppKey, sealing: Sealing, *, api_url: str = API) -> None:
        """`sealing` seals what revocation needs."""
        self._key = key
        self._sealing = sealing
        self._bridge = Bridge("GitHub")
        self._calls = Calls(self._bridge, api_url=api_url.rstrip("/"))
        self._installations: OrderedDict[str, int] = OrderedDict()

    def close(self) -> None:
        """End the threads and connections."""
        self._bridge.close()
        self._calls.close()

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Ask GitHub for a token, and have it sealed."""
        owner, names = _repositories(request)
        permissions = request.wanted.options.get("permissions")
        if not isinstance(permissions, Mapping) or not permissions:
            raise Misasked(f"the grant {request.wanted.name} needs the option permissions, a table")
        asked = {"repositories": names, "permissions": dict(permissions)}
        installation = await self._installation(f"{owner}/{names[0]}", deadline)
        path = f"/app/installations/{installation}/access_tokens"
        made = (await self._as_app("POST", path, deadline, asked)).data
        token = SecretStr(str(made["token"]))
        ends = datetime.fromisoformat(str(made["expires_at"]))
        return Issued(
            values={
                "token": token,
                "basic": _basic("x-access-token", token),
            },
            seconds=max(0.0, (ends - datetime.now(UTC)).total_seconds()),
            trace={"sealed": await self._sealing.seal(token.get_secret_value(), deadline)},
        )

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        """Let GitHub refuse the token; one that nobody wrote down lives out its hour unknown."""
        sealed = trail.trace.get("sealed")
        if sealed is None:
            return False
        token = await self._sealing.open(sealed, deadline)
        # Missing: it is refused already.
        with suppress(Missing):
            await self._send(Token(token), "DELETE", "/installation/token", deadline)
        return True

    async def _installation(self, repository: str, deadline: Deadline) -> int:
        known = self._installations.get(repository)
        if known is None:
            answer = await self._as_app("GET", f"/repos/{repository}/installation", deadline)
            known = self._installations[repository] = int(answer.data["id"])
            if len(self._installations) > INSTALLATIONS_MAX:
                self._installations.popitem(last=False)
        return known

    async def _as_app(
        self, verb: str, path: str, deadline: Deadline, body: Mapping[str, object] | None = None
    ) -> Answer:
        try:
            return await self._send(
                _App(await self._key.token(deadline)), verb, path, deadline, body
            )
        except Missing:
            # Perhaps it was removed and installed anew.
            self._installations.clear()
            raise

    async def _send(
        self,
        auth: Auth,
        verb: str,
        path: str,
        deadline: Deadline,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        try:
            return await self._calls.send(deadline, auth, verb, path, body=body)
        except NotLetIn as error:
            if verb == "DELETE":
                raise Missing(str(error)) from error
            raise _understood(error) from error
        except ChatError as error:
            raise _understood(error) from error


class GitLabTokens:
    """Access tokens of a GitLab project, each a user of its own there, until the end of a day.

    Options: `project`, its path or id; `scopes`, default `read_repository`; `level`, default 30.
    Its name is the grant's id, so one that nobody wrote down is found and revoked.
    """

    modes = ONLY_INJECTED
    by_token = False
    seconds_max = 86_400.0

    def __init__(self, client: Client) -> None:
        """`client` is somebody who may make tokens in the projects: a maintainer or owner."""
        self._client = client

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Make a token."""
        options = request.wanted.options
        scopes, level = options.get("scopes", GITLAB_SCOPES), options.get("level", DEVELOPER)
        if not isinstance(scopes, list | tuple) or not isinstance(level, int):
            raise Misasked(f"the grant {request.wanted.name} has odd scopes or an odd level")
        # GitLab ends it as this day begins, by its own clock.
        ends = (datetime.now(UTC) + timedelta(days=1)).date()
        try:
            made = await self._client.post(
                _tokens(options),
                deadline,
                name=_name(request.id),
                scopes=list(scopes),
                access_level=level,
                expires_at=ends.isoformat(),
            )
        except ChatError as error:
            raise _understood(error) from error
        token = SecretStr(str(made["token"]))
        midnight = datetime.combine(ends, datetime.min.time(), UTC)
        return Issued(
            values={"token": token, "basic": _basic("oauth2", token)},
            seconds=(midnight - datetime.now(UTC)).total_seconds(),
            trace={"token": str(made["id"])},
        )

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        """Revoke it, by its number or else by its name."""
        path = _tokens(trail.options)
        try:
            for number in await self._numbers(path, trail, deadline):
                await self._client.delete(f"{path}/{number}", deadline)
        except Gone:
            # Token or project are not there any more.
            pass
        except ChatError as error:
            raise _understood(error) from error
        return True

    async def _numbers(self, path: str, trail: Trail, deadline: Deadline) -> list[str]:
        if "token" in trail.trace:
            return [trail.trace["token"]]
        return [
            str(one["id"])
            async for page in self._client.pages(path, deadline)
            for one in page.data
            if one["name"] == _name(trail.id) and not one.get("revoked")
        ]


def _name(grant_id: object) -> str:
    return f"ona-{grant_id}"


def _tokens(options: Mapping[str, object]) -> str:
    project = options.get("project")
    if not isinstance(project, str | int) or not project:
        raise Misasked("a grant of kind gitlab needs the option project, a path or a number")
    return f"/projects/{quote(str(project), safe='')}/access_tokens"


def _repositories(request: Request) -> tuple[str, list[str]]:
    """Owner and names of the repositories. :raises Misasked:"""
    given = request.wanted.options.get("repositories")
    if not isinstance(given, list | tuple) or not given:
        raise Misasked(f"the grant {request.wanted.name} needs the option repositories, a list")
    parts = [str(one).partition("/") for one in given]
    owners = {owner.casefold() for owner, _, _ in parts}
    if len(owners) != 1 or not all(name for _, _, name in parts):
        raise Misasked(f"the grant {request.wanted.name} has repositories of several owners")
    return parts[0][0], [name for _, _, name in parts]


def _basic(user: str, token: SecretStr) -> SecretStr:
    """What git's basic authentication says."""
    return SecretStr(base64.b64encode(f"{user}:{token.get_secret_value()}".encode()).decode())


def _part(claims: Mapping[str, object]) -> str:
    return _encoded(json.dumps(claims, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _understood(error: ChatError) -> VaultError:
    """An error of a code host, in the words of grants."""
    match error:
        case Gone():
            return Missing(str(error))
        case Rejected() | NotLetIn():
            return Misasked(str(error))
        case Throttled():
            return Unreachable(str(error))
    return Unreachable(str(error)) if str(error) else VaultBug(type(error).__name__)
