"""Calls of Discord's REST API: each before its deadline, its errors in the words of the port.

discord.py waits for rate limits and repeats what a server's error may have swallowed. The second
is safe here: a post carries a nonce that Discord enforces, and everything else is idempotent.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import discord

from adapters.chat.calling import under
from adapters.chat.port import (
    ChatError,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)

GONE = frozenset({10003, 10004, 10008, 50001, 160005})
"""Unknown channel, guild or message; we may not see it; the thread is locked."""
EDIT_LATER = 30046
"""Too many edits of messages older than an hour."""
EDIT_LATER_SECONDS = 60.0
RETRY_SECONDS = 30.0

T = TypeVar("T")


async def call(deadline: Deadline, request: Callable[[], Awaitable[T]]) -> T:
    """Make one request under a deadline. :raises ChatError:"""
    async with under(deadline, "Discord"):
        try:
            return await request()
        except discord.RateLimited as error:
            raise Throttled(error.retry_after) from error
        except discord.HTTPException as error:
            raise of_answer(error) from error


def of_answer(error: discord.HTTPException) -> ChatError:
    """What an answer other than success means."""
    said = f"Discord says {error.code or error.status}: {error.text[:200]}"
    if error.code == EDIT_LATER:
        return Throttled(EDIT_LATER_SECONDS)
    if error.status == 429:
        return Throttled(_seconds(error))
    if error.status >= 500:
        return Uncertain(said)
    if error.status == 401:
        return Unavailable(said)
    if error.code in GONE:
        return Gone(said)
    return Rejected(said)


def _seconds(error: discord.HTTPException) -> float:
    headers = getattr(error.response, "headers", {})
    try:
        return float(headers.get("Retry-After", RETRY_SECONDS))
    except ValueError:
        return RETRY_SECONDS
