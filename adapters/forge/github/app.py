"""We ourselves on a GitHub: an app, which has an installation for each account that wants it.

A repository's name leads to its installation, that to a token which lives for an hour. Tokens are
kept in memory alone, until shortly before they end.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
from github.Auth import AppAuth, Token
from pydantic import SecretStr

from adapters.blocking import Bridge
from adapters.chat.port import Deadline, Gone, Rejected, Unavailable, Uncertain
from adapters.forge.github.calls import API, GRAPHQL, PAGE, Answer, Calls
from adapters.forge.github.kept import Kept
from adapters.forge.port import NotLetIn

NAME = "GitHub"
TOKEN_SPARE_SECONDS = 300.0
"""A token is given up so long before it ends."""
_EDITOR = "query($id: ID!) { node(id: $id) { ... on Comment { editor { login } } } }"
INSTALLATION_SECONDS = 3600.0
"""A repository's installation is asked for again after this."""


@dataclass(frozen=True, kw_only=True)
class Ourselves:
    """The app."""

    id: int
    slug: str

    @property
    def login(self) -> str:
        """Who the author is of what we write; nobody else can have such a name."""
        return f"{self.slug}[bot]"

    def wrote(self, entry: Mapping[str, Any]) -> bool:
        """Whether we are the author of a comment or a reaction, as the API has it."""
        user = entry.get("user") or {}
        return bool(user.get("type") == "Bot" and user.get("login") == self.login)


class App:
    """Calls the API as the app, or as what it is in one repository."""

    def __init__(self, *, app_id: str, private_key: str, api_url: str = API) -> None:
        """`private_key` in PEM; `api_url` is that of an Enterprise Server, else GitHub's own."""
        self.api_url = api_url.rstrip("/")
        self._bridge = Bridge(NAME)
        self._calls = Calls(self._bridge, api_url=self.api_url)
        self._auth = AppAuth(app_id, private_key)
        self._us: Ourselves | None = None
        self._installations: Kept[int] = Kept()
        self._tokens: Kept[str] = Kept()

    def close(self) -> None:
        """End the threads and connections."""
        self._bridge.close()
        self._calls.close()

    async def ourselves(self, deadline: Deadline) -> Ourselves:
        """Who we are, asked once. :raises ChatError:"""
        if self._us is None:
            app = (await self.as_app(deadline, "GET", "/app")).data
            self._us = Ourselves(id=int(app["id"]), slug=str(app["slug"]))
        return self._us

    async def as_app(
        self, deadline: Deadline, verb: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Answer:
        """Make one request as the app itself. :raises ChatError:"""
        try:
            return await self._calls.send(deadline, self._auth, verb, path, body=body)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise NotLetIn(f"the app's private key can't be used: {error}") from error

    async def call(
        self,
        deadline: Deadline,
        repository: str,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request as what we are in a repository, by its name.

        :param path: below the repository; below the API's root when it doesn't begin with a slash
        :raises Gone: also when we are not installed there
        """
        whole = f"/repos/{repository}{path}" if path[:1] in {"", "/"} else f"/{path}"
        installation, token = await self._token(deadline, repository)
        try:
            return await self._calls.send(
                deadline, Token(token), verb, whole, query=query, body=body, headers=headers
            )
        except Unavailable:
            # Perhaps the token was revoked; getting another one is cheap.
            self._tokens.drop(str(installation))
            raise

    async def installed(
        self,
        deadline: Deadline,
        installation: int,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Read something as an installation, by its number. :raises ChatError:"""
        token = await self._token_of(deadline, installation)
        try:
            return await self._calls.send(deadline, Token(token), "GET", path, query=query)
        except Unavailable:
            self._tokens.drop(str(installation))
            raise

    async def as_person(
        self,
        deadline: Deadline,
        token: SecretStr,
        verb: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Make one request as the person whose token it is. :raises ChatError:"""
        return await self._calls.send(
            deadline, Token(token.get_secret_value()), verb, path, body=body
        )

    async def narrowed(
        self, deadline: Deadline, repository: str, permissions: Mapping[str, str]
    ) -> SecretStr:
        """A new token for one repository that may do this and no more; `end` it after use.

        :raises Gone: also when we are not installed there
        """
        installation = await self._installation(deadline, repository)
        path = f"/app/installations/{installation}/access_tokens"
        asked = {"repositories": [repository.partition("/")[2]], "permissions": dict(permissions)}
        try:
            made = (await self.as_app(deadline, "POST", path, asked)).data
        except Uncertain as error:
            raise Unavailable(str(error)) from error
        return SecretStr(str(made["token"]))

    async def end(self, deadline: Deadline, token: SecretStr) -> None:
        """Let GitHub refuse a token from now on. :raises ChatError:"""
        auth = Token(token.get_secret_value())
        await self._calls.send(deadline, auth, "DELETE", "/installation/token")

    async def download(self, deadline: Deadline, repository: str, path: str) -> bytes:
        """The end of what GitHub has in a store of its own, such as a job's log.

        :raises ChatError:
        """
        _, token = await self._token(deadline, repository)
        return await self._calls.download(deadline, Token(token), f"/repos/{repository}{path}")

    async def token(self, deadline: Deadline, repository: str) -> str:
        """A token for a repository, by its name; kept here, and on the host alone.

        :raises Gone: also when we are not installed there
        """
        return (await self._token(deadline, repository))[1]

    async def editor(self, deadline: Deadline, repository: str, node: str) -> str | None:
        """The login of who edited the comment with a node id last; None: nobody has.

        :raises Gone: there is no such comment
        """
        body = {"query": _EDITOR, "variables": {"id": node}}
        try:
            answer = await self.call(deadline, repository, "POST", GRAPHQL, body=body)
        except Uncertain as error:
            raise Unavailable(str(error)) from error
        errors = answer.data.get("errors") or []
        if any(error.get("type") != "NOT_FOUND" for error in errors):
            raise Unavailable(f"GitHub says {errors[0].get('message')}")
        node_found = answer.data["data"]["node"]
        if node_found is None:
            raise Gone("there is no such comment")
        editor = node_found["editor"]
        return None if editor is None else str(editor["login"])

    async def change(self, deadline: Deadline, repository: str, mutation: str, node: str) -> None:
        """Change what has a node id by a mutation of GraphQL, which takes it as `$id`.

        :raises Rejected: GitHub does not do it
        """
        body = {"query": mutation, "variables": {"id": node}}
        answer = await self.call(deadline, repository, "POST", GRAPHQL, body=body)
        errors = answer.data.get("errors") or []
        if errors:
            raise Rejected(f"GitHub says {errors[0].get('message')}")

    async def entries(
        self,
        deadline: Deadline,
        repository: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> AsyncIterator[dict[str, Any]]:
        """The entries of a list, page by page; `key` where the list is in an object."""
        page = 1
        while True:
            asked = {**(query or {}), "per_page": PAGE, "page": page}
            answer = await self.call(deadline, repository, "GET", path, query=asked)
            for entry in answer.data[key] if key else answer.data:
                yield entry
            if not answer.has_next:
                return
            page += 1

    async def _token(self, deadline: Deadline, repository: str) -> tuple[int, str]:
        installation = await self._installation(deadline, repository)
        try:
            return installation, await self._token_of(deadline, installation)
        except Gone:
            # Removed since we asked, and perhaps installed anew.
            self._installations.drop(repository.casefold())
        installation = await self._installation(deadline, repository)
        return installation, await self._token_of(deadline, installation)

    async def _token_of(self, deadline: Deadline, installation: int) -> str:
        kept = self._tokens.get(str(installation))
        if kept is not None:
            return kept
        path = f"/app/installations/{installation}/access_tokens"
        try:
            made = (await self.as_app(deadline, "POST", path)).data
        except Uncertain as error:
            # A token that nobody got is nothing that was done.
            raise Unavailable(str(error)) from error
        token = str(made["token"])
        self._tokens.put(str(installation), token, _seconds_left(made["expires_at"]))
        return token

    async def _installation(self, deadline: Deadline, repository: str) -> int:
        key = repository.casefold()
        kept = self._installations.get(key)
        if kept is not None:
            return kept
        answer = await self.as_app(deadline, "GET", f"/repos/{repository}/installation")
        found = int(answer.data["id"])
        self._installations.put(key, found, INSTALLATION_SECONDS)
        return found


def _seconds_left(expires_at: str) -> float:
    ends = datetime.fromisoformat(expires_at)
    return (ends - datetime.now(UTC)).total_seconds() - TOKEN_SPARE_SECONDS
