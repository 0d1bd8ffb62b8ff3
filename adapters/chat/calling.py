"""Calls over HTTP under a deadline, for surfaces whose SDK speaks through aiohttp."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import aiohttp

from adapters.chat.port import ChatError, Deadline, Throttled, Unavailable, Uncertain


class Unreachable(Unavailable):
    """Nothing was sent, because there is no connection."""


_DEADLINE: ContextVar[Deadline | None] = ContextVar("chat_deadline", default=None)


async def _look_at_deadline(*_: object) -> None:
    """Right before a request is written: the process may have slept since it was called."""
    deadline = _DEADLINE.get()
    if deadline is not None and deadline.left_seconds <= 0:
        raise Unavailable("the deadline has passed")


def trace() -> aiohttp.TraceConfig:
    """What keeps an aiohttp session from writing a request after the deadline of its call."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(_look_at_deadline)
    config.on_connection_reuseconn.append(_look_at_deadline)
    return config


@asynccontextmanager
async def under(deadline: Deadline, surface: str) -> AsyncIterator[None]:
    """Make a call of `surface` within; answers of the surface are the caller's to understand.

    :raises Unavailable: nothing was sent
    :raises Uncertain: no answer came in time, or the connection broke
    """
    if deadline.left_seconds <= 0:
        raise Unavailable("the deadline has passed")
    token = _DEADLINE.set(deadline)
    try:
        async with asyncio.timeout(deadline.left_seconds):
            yield
    except TimeoutError:
        raise Uncertain("no answer in time") from None
    except aiohttp.ClientConnectorError as error:
        raise Unreachable(f"{surface} can't be reached: {error}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise Uncertain(f"the connection to {surface} broke: {error}") from error
    finally:
        _DEADLINE.reset(token)


def is_judgement(error: ChatError) -> bool:
    """Whether the surface itself said it, so that asking again would hear the same."""
    return not isinstance(error, Unreachable | Uncertain | Throttled)
