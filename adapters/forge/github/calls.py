"""Requests of GitHub's REST API, by PyGithub: each once, before its deadline, with errors of ours.

PyGithub shares one connection object between threads, keeps the request in it, and retries; so each
request gets a connection of its own here, and all of them one session that keeps deadlines.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from github.Auth import Auth
from github.Consts import API_VERSION_2022_11_28
from github.Requester import HTTPSRequestsConnectionClass, Requester, RequestsResponse

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
from adapters.forge.port import NotLetIn

API = "https://api.github.com"
PAGE = 100
"""Entries of a list that one request brings; GitHub gives no more."""
RETRY_SECONDS = 60.0
"""When GitHub doesn't say how long to wait; its guide asks for a minute at least."""
REDIRECTS_MAX = 2
UNCHANGED = 304
GRAPHQL = "graphql"
"""Path of the one address of GraphQL, which is asked by POST."""

CHUNK_BYTES = 64 * 1024
_MOVED = frozenset({307, 308})
_ELSEWHERE = 302
_WORDS_MAX = 300
_JSON = "application/vnd.github+json"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What GitHub answered."""

    status: int
    """2xx, or 304 to a conditional request."""
    headers: Mapping[str, str]
    """By name in lower case."""
    data: Any
    """The body, read as JSON; None: there is none."""

    @property
    def has_next(self) -> bool:
        """Whether the list goes on behind this page."""
        return 'rel="next"' in self.headers.get("link", "")


@dataclass(frozen=True, kw_only=True)
class _Request:
    auth: Auth
    verb: str
    path: str
    query: Mapping[str, Any]
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]


class Calls:
    """Sends requests to one GitHub."""

    def __init__(self, bridge: Bridge, *, api_url: str = API) -> None:
        """`api_url` without a slash at its end; `https://HOST/api/v3` for Enterprise Server."""
        self._bridge = bridge
        self._url = api_url
        self._session = _session()
        # It would write down all that it gets, and tokens are among that.
        logging.getLogger(Requester.__module__).setLevel(logging.WARNING)

    async def send(
        self,
        deadline: Deadline,
        auth: Auth,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request. A GET that fails did nothing, whatever it was. :raises ChatError:"""

        request = _Request(
            auth=auth, verb=verb, path=path, query=query or {}, body=body, headers=headers or {}
        )
        try:
            return await self._bridge.call(lambda: self._send(request), deadline)
        except Uncertain as error:
            if verb != "GET":
                raise
            raise Unavailable(str(error)) from error

    async def download(self, deadline: Deadline, auth: Auth, path: str) -> bytes:
        """The end of what GitHub has in a store of its own, such as a job's log.

        :raises ChatError:
        """
        try:
            return await self._bridge.call(lambda: self._download(auth, path), deadline)
        except Uncertain as error:
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _send(self, request: _Request) -> Answer:
        to = self._requester(request.auth)
        path, query = request.path, dict(request.query)
        if path == f"/{GRAPHQL}":
            path = to.graphql_url
        for _ in range(1 + REDIRECTS_MAX):
            status, headers, text = to.requestJson(
                request.verb,
                path,
                query,
                {**request.headers, "Accept": _JSON},
                input=request.body,
                cnx=_Connection(self._session, urlsplit(self._url)),
            )
            if status >= 400:
                # What answers may repeat the token, and people read the words.
                text = text.replace(request.auth.token, "…")
            if status not in _MOVED:
                return _read(request.verb, status, headers, text)
            # Of a repository that was renamed: nothing was done, and all of it has to go there.
            path = self._there(headers.get("location", ""))
        raise Unavailable("GitHub sends us from one address to the next")

    def _download(self, auth: Auth, path: str) -> bytes:
        connection = _Connection(self._session, urlsplit(self._url))
        status, headers, text = self._requester(auth).requestJson(
            "GET", path, {}, {"Accept": _JSON}, cnx=connection
        )
        if status == 200:
            return end_of([text.encode()])
        if status != _ELSEWHERE:
            _read("GET", status, headers, text)
            raise Unavailable(f"GitHub answered {status}")
        there = str(headers.get("location", ""))
        if urlsplit(there).scheme not in {"https", urlsplit(self._url).scheme}:
            raise Unavailable("GitHub sends us to an address that can't be read")
        # The address itself lets us in: no token of ours goes there.
        with self._session.get(there, stream=True) as response:
            if response.status_code != 200:
                raise Gone(f"GitHub's store answered {response.status_code}")
            return end_of(response.iter_content(CHUNK_BYTES))

    def _requester(self, auth: Auth) -> Requester:
        return Requester(
            auth=auth,
            base_url=self._url,
            timeout=0,
            user_agent="ona",
            per_page=PAGE,
            verify=True,
            retry=None,
            pool_size=None,
            api_version=API_VERSION_2022_11_28,
        )

    def _there(self, location: str) -> str:
        there, here = urlsplit(location), urlsplit(self._url)
        if (there.scheme, there.netloc) != (here.scheme, here.netloc):
            raise Unavailable("GitHub sends us to another host")
        return location


class _Connection(HTTPSRequestsConnectionClass):
    """What one request is sent over."""

    def __init__(self, session: requests.Session, url: SplitResult) -> None:
        # Not the base class's: it opens a session, and one that retries.
        self.session = session
        self.protocol = url.scheme
        self.host = url.hostname or ""
        self.port = url.port or (80 if url.scheme == "http" else 443)
        # The session's adapter sets what is left of the time.
        self.timeout = None
        self.verify = True

    def getresponse(self) -> RequestsResponse:
        """Send the request and read what is answered."""
        response = super().getresponse()
        if response.status == 301:
            # PyGithub would follow it without what is asked for.
            response.status = 308
        # What requests guesses from the bytes is slow, and sometimes wrong.
        response.response.encoding = "utf-8"
        return response


def _session() -> requests.Session:
    session = requests.Session()
    session.auth = Requester.noopAuth
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, DeadlineAdapter(pool_maxsize=THREADS_MAX))
    return session


def _read(verb: str, status: int, headers: Mapping[str, str], text: str) -> Answer:
    try:
        data = json.loads(text) if text else None
    except ValueError:
        # A proxy's page for people: it says nothing of what became of the request.
        data = None
        status = status if status >= 400 else 502
    if 300 <= status < 400 and status != UNCHANGED:
        status = 502
    if status >= 400:
        raise refusal(status, headers, _words(data), wrote=verb != "GET")
    return Answer(status=status, headers=headers, data=data)


def refusal(status: int, headers: Mapping[str, str], words: str, *, wrote: bool) -> ChatError:
    """What an answer that is an error means; pure.

    :param words: what GitHub says about it
    :param wrote: the request was to change something
    """
    if status == 429 or (status in (403, 422) and _is_throttled(headers, words)):
        return Throttled(_retry_seconds(headers))
    said = f"GitHub answered {status}: {words}"
    if status in (404, 410):
        return Gone(said)
    if status == 401:
        # The key or the token is wrong, or the clock.
        return NotLetIn(said)
    if status >= 500:
        return Uncertain(said) if wrote else Unavailable(said)
    return Rejected(said)


def _is_throttled(headers: Mapping[str, str], words: str) -> bool:
    if "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0":
        return True
    return Requester.isRateLimitError(words) or any(
        sign in words.lower() for sign in ("secondary rate limit", "submitted too quickly")
    )


def _retry_seconds(headers: Mapping[str, str]) -> float:
    try:
        if "retry-after" in headers:
            return max(1.0, float(headers["retry-after"]))
        if headers.get("x-ratelimit-remaining") == "0":
            return max(1.0, float(headers["x-ratelimit-reset"]) - time.time())
    except (KeyError, ValueError):
        pass
    return RETRY_SECONDS


def _words(data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    errors = data.get("errors") or []
    more = [one.get("message") for one in errors if isinstance(one, dict)]
    said = [str(word) for word in (data.get("message"), *more) if word]
    return "; ".join(said)[:_WORDS_MAX]
