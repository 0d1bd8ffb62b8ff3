"""The command line's way to the HTTP API."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.cli.typed import typed
from bot.errors import OnaError, Refused, TellOperator, TryAgain, for_person
from bot.locks import is_held

if TYPE_CHECKING:
    import httpx2

ANSWER_SECONDS_MAX = 60.0
"""Adding a project reads its repository first."""
LONG_SECONDS_MAX = 300.0
"""Until the first line of a long answer: the database sorts it."""
CONNECT_SECONDS_MAX = 5.0
SILENCE_SECONDS_MAX = 20.0
"""A live stream beats more often than this."""


class Unreachable(TellOperator):
    """The service does not answer, or does not know us."""


class Client:
    """Speaks to one installation as one person."""

    def __init__(self, url: str, token: str, *, starts: Callable[[], bool] = bool) -> None:
        """`url` without a path, such as `http://127.0.0.1:8484`.

        :param starts: whether one is on its way up here, where none answers
        """
        self._starts = starts
        self.url = url
        self._api = f"{url}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"}

    @property
    def headers(self) -> Mapping[str, str]:
        """By which the service knows us, for connections that are no requests of ours."""
        return self._headers

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """:raises OnaError: what the service says, or that it does not answer."""
        return self._ask("GET", path, params=parameters)

    def text(self, path: str) -> str:
        """A whole document as it is. :raises OnaError: as `get`."""
        return str(self._answer("GET", path).text)

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str = ""
    ) -> dict[str, Any]:
        """As `get`; `key` is the Idempotency-Key."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._ask("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `get`."""
        return self._ask("PUT", path, json=body)

    @contextmanager
    def lines(self, path: str, **parameters: Any) -> "Iterator[Iterator[str]]":
        """The lines of a long answer. :raises OnaError: as `get`, or it broke off."""
        import httpx2

        timeout = httpx2.Timeout(LONG_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        more: dict[str, Any] = {"params": parameters, "headers": self._headers, "timeout": timeout}
        try:
            with httpx2.stream("GET", self._api + path, **more) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _error(answer)
                yield answer.iter_lines()
        except httpx2.TransportError as error:
            raise Unreachable(
                f"the answer of {self.url} broke off",
                kept="what was printed is not all of it",
                do="ask again",
            ) from error

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """As `get`."""
        return self._ask("PATCH", path, json=body)

    def delete(self, path: str, **parameters: Any) -> dict[str, Any]:
        """As `get`."""
        return self._ask("DELETE", path, params=parameters)

    @contextmanager
    def stream(self, path: str, *, after: int) -> "Iterator[Iterator[str]]":
        """The lines of a live stream after an event.

        :raises ConnectionError: it broke, or the service is away for the moment
        """
        import httpx2

        headers = {
            **self._headers,
            "Accept": "text/event-stream",
            "Last-Event-ID": str(after),
        }
        timeout = httpx2.Timeout(SILENCE_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        try:
            with httpx2.stream("GET", self._api + path, headers=headers, timeout=timeout) as answer:
                if answer.status_code >= 500:
                    raise ConnectionError(f"status {answer.status_code}")
                if answer.status_code >= 400:
                    answer.read()
                    raise _error(answer)
                yield answer.iter_lines()
        except httpx2.TransportError as error:
            raise ConnectionError(str(error)) from error

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            return dict(self._answer(method, path, **more).json())
        except ValueError:
            raise Unreachable(
                f"what answers at {self.url} is not ona", do="set ONA_URL to where it runs"
            ) from None

    def _answer(self, method: str, path: str, **more: Any) -> "httpx2.Response":
        import httpx2

        headers = {**self._headers, **more.pop("headers", {})}
        timeout = httpx2.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
        try:
            answer = httpx2.request(
                method, self._api + path, headers=headers, timeout=timeout, **more
            )
        except httpx2.TransportError as error:
            if self._starts():
                raise _still_starting() from error
            raise Unreachable(
                f"ona does not answer at {self.url}",
                do="start it with `ona up`, or set ONA_URL to where it runs",
            ) from error
        if answer.status_code >= 400:
            raise _error(answer)
        return answer


def at(path: str, *parts: object) -> str:
    """`path` with what somebody wrote in place of each `{}`, as one segment whatever is in it.

    >>> at("/projects/{}/secrets/{}", "shop", "a/../b#c")
    '/projects/shop/secrets/a%2F..%2Fb%23c'

    :raises Refused: a name is empty, so that it would be another path
    """
    if not all(str(part).strip() for part in parts):
        raise Refused(
            "a name is empty", kept="nothing was asked", do="write the name that is meant"
        )
    return path.format(*(_segment(str(part)) for part in parts))


def _segment(part: str) -> str:
    # These two are steps up and nowhere, unless their dots are written otherwise.
    return part.replace(".", "%2E") if part in {".", ".."} else quote(part, safe="")


def connect() -> Client:
    """The installation that ONA_URL, or else the settings, mean. :raises Unreachable: no token."""
    from bot.config import client_variables, load

    url, token = client_variables()
    settings = load()
    starts = partial(is_held, settings.data_dir / "up.lock")
    if not token:
        try:
            token = settings.token_file.read_text(encoding="utf-8").strip()
        except OSError:
            if not url and starts():
                raise _still_starting() from None
            raise Unreachable(
                f"there is no API token: {settings.token_file} can't be read",
                do="start `ona up` here (before that, only `ona setup slack`, `discord`, `github` "
                "and `gitlab` work), set ONA_DATA_DIR if it keeps its data elsewhere, "
                "or set ONA_TOKEN to a token from the page “API tokens”",
            ) from None
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", ""} else settings.host
    if url:
        return Client(url, token)
    return Client(f"http://{host}:{settings.port}", token, starts=starts)


def _still_starting() -> TryAgain:
    return TryAgain(
        "`ona up` runs here, but does not answer yet",
        kept="nothing was asked",
        do="wait until it says “Ready”; the first start takes some minutes",
    )


def _error(answer: "httpx2.Response") -> OnaError:
    try:
        said = answer.json()
        happened, kept, do = (typed(str(said[part])) for part in ("error", "kept", "do"))
        code = str(said.get("code", ""))
    except (ValueError, KeyError, TypeError):
        happened, kept, do = f"the service answered {answer.status_code}", "", ""
        code = ""
    if answer.status_code == 401:
        return Unreachable(
            "ona does not know this token", do="run `ona up` here once, or set ONA_TOKEN"
        )
    if answer.status_code == 503:
        return TryAgain(happened, kept=kept, do=do)
    if answer.status_code >= 500:
        return OnaError(happened, kept=kept, do=do)
    return for_person(code, happened, kept=kept, do=do)
