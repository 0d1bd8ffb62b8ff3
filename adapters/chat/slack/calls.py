"""Calls of Slack's Web API: each once, before its deadline, its errors in the words of the port.

The SDK's own retries are off: whether a call may be made again is the outbox's to decide.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.calling import trace, under
from adapters.chat.port import (
    ChatError,
    Deadline,
    Gone,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)

API = "https://slack.com/api/"
CALL_SECONDS = 30
"""The SDK's own limit; the deadline of a call is shorter."""
RETRY_SECONDS = 30.0
"""When Slack does not say how long to wait."""

GONE = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "is_inactive",
        "message_not_found",
        "not_in_channel",
        "thread_not_found",
        "cannot_reply_to_message",
    }
)
"""The thread or the post is deleted, or we were put out of its channel."""
OURS = frozenset(
    {
        "account_inactive",
        "invalid_auth",
        "missing_scope",
        "not_allowed_token_type",
        "not_authed",
        "service_unavailable",
        "token_expired",
        "token_revoked",
    }
)
"""Nothing was done, and an operator or Slack can mend it."""
UNCLEAR = frozenset({"fatal_error", "internal_error", "request_timeout"})
"""Slack can't say whether it was done."""


def open_session() -> aiohttp.ClientSession:
    """A connection pool that writes no request after the deadline that it was called under."""
    return aiohttp.ClientSession(trace_configs=[trace()])


def client(token: str, session: aiohttp.ClientSession, *, api: str = API) -> AsyncWebClient:
    """The SDK's client, without its retries."""
    return AsyncWebClient(
        token=token, base_url=api, timeout=CALL_SECONDS, session=session, retry_handlers=[]
    )


async def call(deadline: Deadline, request: Callable[[], Awaitable[Any]]) -> Any:
    """Make one request under a deadline. :raises ChatError:"""
    async with under(deadline, "Slack"):
        try:
            return await request()
        except SlackApiError as error:
            raise _of_answer(error) from error


def _of_answer(error: SlackApiError) -> ChatError:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or code == "ratelimited":
        return Throttled(_seconds(response.headers.get("Retry-After")))
    if status >= 500 or not code or code in UNCLEAR:
        return Uncertain(f"Slack answered {code or status}")
    if code in GONE:
        return Gone(f"Slack says {code}")
    if code in OURS:
        return Unavailable(f"Slack says {code}")
    return Rejected(f"Slack says {code}")


def code_of(error: ChatError) -> str:
    """What Slack called the error; "" when it did not answer with one."""
    data = getattr(getattr(error.__cause__, "response", None), "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def _seconds(header: object) -> float:
    try:
        return float(str(header))
    except ValueError:
        return RETRY_SECONDS
