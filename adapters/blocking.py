"""The one bridge to SDKs that block: bounded threads, and deadlines that a thread keeps.

A call that is given up, because its time has passed or its task was cancelled, does not end its
thread. What a deadline means is held inside it: right before each request is written the time left
is looked at, no request begins after it, and each waits for its answer no longer than that. Such a
thread ends soon after the deadline, and keeps its slot until then.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from adapters.chat.port import Deadline, Unavailable, Uncertain

Result = TypeVar("Result")

THREADS_MAX = 8
ANSWER_SECONDS_MAX = 10.0
"""For which a request waits for its answer, where no deadline is nearer."""

_DEADLINE: ContextVar[Deadline | None] = ContextVar("blocking_deadline", default=None)


class TooLate(requests.RequestException):
    """The deadline has passed, and nothing was sent."""


class DeadlineAdapter(HTTPAdapter):
    """Sends no request after the deadline of the call that it belongs to; never retries."""

    def __init__(self, **options: Any) -> None:
        options["max_retries"] = 0
        super().__init__(**options)

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        """Like the base class, with the time left as the most to wait for. :raises TooLate:."""
        deadline = _DEADLINE.get()
        seconds = ANSWER_SECONDS_MAX
        if deadline is not None:
            seconds = min(seconds, deadline.left_seconds)
        if seconds <= 0:
            raise TooLate("the deadline has passed", request=request)
        return super().send(request, **{**options, "timeout": seconds})


class Bridge:
    """Threads for the blocking SDK of one surface."""

    def __init__(self, name: str, *, threads_max: int = THREADS_MAX) -> None:
        """`name` of the surface, as its errors call it."""
        self._name = name
        self._threads = ThreadPoolExecutor(threads_max, thread_name_prefix=name)

    async def call(self, function: Callable[[], Result], deadline: Deadline) -> Result:
        """Let `function` run in a thread until the deadline.

        What the surface answered is the caller's to understand; only what says nothing about the
        request becomes an error of the port. Every request of `function` that is not its last must
        be one that may be repeated.

        :raises Unavailable: nothing was sent
        :raises Uncertain: no answer came in time, or the connection broke
        """
        if deadline.left_seconds <= 0:
            raise Unavailable("the deadline has passed")
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        context.run(_DEADLINE.set, deadline)
        running = loop.run_in_executor(self._threads, context.run, function)
        try:
            async with asyncio.timeout(deadline.left_seconds):
                return await running
        except TimeoutError:
            raise Uncertain("no answer in time") from None
        except requests.RequestException as error:
            raise self._understood(error) from error

    def close(self) -> None:
        """End the threads as they come to their ends; none is waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _understood(self, error: requests.RequestException) -> Exception:
        if isinstance(error, TooLate):
            return Unavailable("the deadline has passed")
        if _is_unsent(error):
            return Unavailable(f"{self._name} can't be reached")
        return Uncertain(f"no answer of {self._name}: {type(error).__name__}")


def _is_unsent(error: requests.RequestException) -> bool:
    """Whether no connection was there to send anything over."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
