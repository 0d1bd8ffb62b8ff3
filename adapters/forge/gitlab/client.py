"""Calls of GitLab's REST API: each once, before its deadline, its errors in the words of the port.

The SDK waits out a 429 and tries again by itself where it isn't told not to; here it is told so for
every request, because whether and when a call may be made again is the outbox's to decide.
"""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import gitlab
import requests
from gitlab.exceptions import GitlabError, RedirectError
from pydantic import SecretStr

from adapters.blocking import THREADS_MAX, Bridge, DeadlineAdapter
from adapters.chat.port import (
    ChatError,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from adapters.forge.checking import end_of
from adapters.forge.gitlab.urls import host_of
from adapters.forge.happened import answered_at
from adapters.forge.port import NotLetIn

CHUNK_BYTES = 64 * 1024
PAGE = 100
"""The most that GitLab gives at once."""
RETRY_SECONDS = 60.0
"""When GitLab does not say how long to wait: its limits are per minute."""
USERS_MAX = 10_000
"""Of whom we remember what they are."""


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody on GitLab."""

    id: int
    username: str
    is_bot: bool = False
    """It belongs to a token of a project or group, or to GitLab itself."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What GitLab answered."""

    data: Any
    at: datetime
    """When, by its own clock where it tells."""
    next_page: int | None = None


class Client:
    """One GitLab as one user: a service account, or the bot of a group access token."""

    def __init__(self, url: str, token: str) -> None:
        """`url` of the web pages, such as https://gitlab.com."""
        self.url = url.rstrip("/")
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, DeadlineAdapter(pool_maxsize=THREADS_MAX))
        session.hooks["response"].append(_look_for_throttle)
        self._session = session
        self._gitlab = self._as(token)
        self._bridge = Bridge("GitLab")
        self._ourselves: User | None = None
        self._users: dict[int, User] = {}

    @property
    def host(self) -> str:
        """Its name in URLs, with a port where that is not the usual one."""
        return host_of(self.url)

    def close(self) -> None:
        """End its threads and connections."""
        self._bridge.close()
        self._session.close()

    async def get(self, path: str, deadline: Deadline, **query: object) -> Answer:
        """Read something, or one page of a list. :raises ChatError:"""
        return await self._call("get", path, deadline, query=query)

    async def text(self, path: str, deadline: Deadline) -> bytes:
        """The end of something that is no JSON, such as a job's trace. :raises ChatError:"""

        def ask() -> bytes:
            response = self._gitlab.http_request(
                "get", path, streamed=True, obey_rate_limit=False, retry_transient_errors=False
            )
            with response:
                return end_of(response.iter_content(CHUNK_BYTES))

        try:
            return await self._bridge.call(ask, deadline)
        except Uncertain as error:
            raise Unavailable(str(error)) from error
        except GitlabError as error:
            raise _understood(error, self._gitlab, is_read=True) from None

    async def post(self, path: str, deadline: Deadline, **body: object) -> Any:
        """Make something; the answer's data. :raises ChatError:"""
        return (await self._call("post", path, deadline, body=body)).data

    async def post_as(self, token: SecretStr, path: str, deadline: Deadline, **body: object) -> Any:
        """Make something as the person whose token it is. :raises ChatError:"""
        theirs = self._as(token.get_secret_value())
        return (await self._call("post", path, deadline, body=body, sdk=theirs)).data

    async def put(self, path: str, deadline: Deadline, **body: object) -> Any:
        """Change something; the answer's data. :raises ChatError:"""
        return (await self._call("put", path, deadline, body=body)).data

    async def delete(self, path: str, deadline: Deadline) -> None:
        """Take something away. :raises ChatError:"""
        await self._call("delete", path, deadline)

    async def pages(self, path: str, deadline: Deadline, **query: object) -> AsyncIterator[Answer]:
        """Read a list, one page after the other."""
        page: int | None = 1
        while page is not None:
            answer = await self.get(path, deadline, **query, per_page=PAGE, page=page)
            yield answer
            page = answer.next_page

    async def ourselves(self, deadline: Deadline) -> User:
        """Who we are; asked once."""
        if self._ourselves is None:
            self._ourselves = _user((await self.get("/user", deadline)).data)
        return self._ourselves

    async def user(self, user_id: int, deadline: Deadline) -> User:
        """Somebody, by their id; asked once, as neither a bot nor its name changes often."""
        known = self._users.get(user_id)
        if known is None:
            known = _user((await self.get(f"/users/{user_id}", deadline)).data)
            if len(self._users) >= USERS_MAX:
                self._users.clear()
            self._users[user_id] = known
        return known

    def _as(self, token: str) -> gitlab.Gitlab:
        # As a bearer token it is not sent on to another host that a redirect leads to.
        return gitlab.Gitlab(self.url, oauth_token=token, session=self._session, keep_base_url=True)

    async def _call(
        self,
        verb: str,
        path: str,
        deadline: Deadline,
        *,
        query: dict[str, object] | None = None,
        body: dict[str, object] | None = None,
        sdk: gitlab.Gitlab | None = None,
    ) -> Answer:
        asked = sdk or self._gitlab

        def ask() -> Answer:
            response = asked.http_request(
                verb,
                path,
                query_data=query,
                post_data=body,
                obey_rate_limit=False,
                retry_transient_errors=False,
            )
            return _answer(response)

        try:
            return await self._bridge.call(ask, deadline)
        except GitlabError as error:
            raise _understood(error, asked, is_read=verb == "get") from None
        except ValueError as error:
            broken = Unavailable if verb == "get" else Uncertain
            raise broken("GitLab answered no JSON") from error


def _user(data: Mapping[str, Any]) -> User:
    return User(id=data["id"], username=data["username"], is_bot=bool(data.get("bot")))


def _answer(response: requests.Response) -> Answer:
    """:raises ValueError: it is no JSON"""
    next_page = response.headers.get("X-Next-Page")
    return Answer(
        data=response.json() if response.content else None,
        at=answered_at(response.headers.get("Date")),
        next_page=int(next_page) if next_page else None,
    )


def _look_for_throttle(response: requests.Response, *_: object, **__: object) -> None:
    """The SDK's error of a 429 has no headers, and those say when to come back."""
    if response.status_code == 429:
        response.close()
        raise Throttled(_seconds(response.headers))


def _seconds(headers: Mapping[str, str]) -> float:
    try:
        if "Retry-After" in headers:
            return max(0.0, float(headers["Retry-After"]))
        return max(0.0, float(headers["RateLimit-Reset"]) - time.time())
    except (KeyError, ValueError):
        return RETRY_SECONDS


def _understood(error: GitlabError, asked: gitlab.Gitlab, *, is_read: bool) -> ChatError:
    # What answers may repeat the token, and people read the words.
    words = str(error).replace(asked.oauth_token or asked.private_token or "\n", "…")
    status, said = error.response_code or 0, f"GitLab answered {words}"
    if isinstance(error, RedirectError):
        return Gone("it has moved on GitLab")
    if status >= 500 or status == 0:
        return Unavailable(said) if is_read else Uncertain(said)
    if status == 404:
        return Gone(said)
    if status == 401:
        return NotLetIn(said)
    if status == 409:
        # A lock is gone by itself.
        return Unavailable(said)
    return Rejected(said)
