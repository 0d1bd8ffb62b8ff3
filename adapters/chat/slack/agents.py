"""Slack's own agent sessions: what a thread of ours is called there, and what goes on in it.

See docs.slack.dev/ai/agent-sessions. They are there where the app is declared an agent, in threads
of channels that we are in; a workspace or channel that has none is not asked again before we start
anew. A direct message has none here: it is one thread to us, and Slack wants a thread in it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.port import ChatError, Deadline, Phase
from adapters.chat.slack.calls import call, code_of
from adapters.chat.slack.places import Place

log = structlog.get_logger(__name__)

WORKING_SECONDS = 40 * 60.0
"""Slack takes `processing` back after about an hour."""
STATUSES = {
    Phase.WORKING: "processing",
    Phase.WAITING: "suspended",
    Phase.IDLE: "active",
    Phase.CLOSED: "closed",
}
"""What Slack calls it."""
NOT_IN_WORKSPACE = frozenset(
    {
        "deprecated_endpoint",
        "enterprise_is_restricted",
        "feature_disabled",
        "is_bot",
        "method_deprecated",
        "missing_scope",
        "not_allowed_token_type",
        "unknown_method",
    }
)
"""What Slack says where a workspace or its app has no agent sessions."""
NOT_IN_CHANNEL = frozenset({"not_authorized", "thread_ts_not_allowed"})
"""And where a channel has none for us."""


class AgentSessions:
    """The agent sessions of one workspace."""

    def __init__(self, client: AsyncWebClient) -> None:
        """`client` as made by `calls.client`."""
        self._client = client
        self._off: set[str] = set()
        """Workspaces and channels that have none."""

    async def show(self, to: Place, phase: Phase, title: str, deadline: Deadline) -> None:
        """Let the thread's session show `phase`; one that is new is called `title`.

        :raises ChatError:
        """

        async def ask() -> Any:
            return await self._client.agents_sessions_setStatus(
                channel_id=to.channel,
                thread_ts=to.thread,
                status=STATUSES[phase],
                title=title or None,
            )

        await self._ask(to, ask, deadline)

    async def rename(self, to: Place, title: str, deadline: Deadline) -> None:
        """Let the thread's session be called `title`; where it has none yet, nothing happens.

        :raises ChatError:
        """

        async def ask() -> Any:
            return await self._client.agents_sessions_rename(
                channel_id=to.channel, thread_ts=to.thread, title=title
            )

        try:
            await self._ask(to, ask, deadline)
        except ChatError as error:
            # It is called so when it begins.
            if code_of(error) != "session_not_found":
                raise

    async def _ask(self, to: Place, ask: Callable[[], Awaitable[Any]], deadline: Deadline) -> None:
        """Make a call, unless it is known that there are no agent sessions."""
        if not to.thread or {to.team, str(_channel(to))} & self._off:
            return
        try:
            await call(deadline, ask)
        except ChatError as error:
            code = code_of(error)
            if code not in NOT_IN_WORKSPACE | NOT_IN_CHANNEL:
                raise
            without = to.team if code in NOT_IN_WORKSPACE else str(_channel(to))
            self._off.add(without)
            log.info("no_agent_sessions", where=without, why=code)


def _channel(to: Place) -> Place:
    return Place(to.team, to.channel, "")
