"""Whether the two tokens of a workspace are good for what we do, found out by using them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.calling import is_judgement
from adapters.chat.port import ChatError, Deadline
from adapters.chat.slack.agents import NOT_IN_WORKSPACE
from adapters.chat.slack.calls import API, call, client, code_of

SCOPES: Mapping[str, str] = {
    "app_mentions:read": "hear a mention in a channel",
    "channels:history": "hear follow-ups in threads of public channels, and find our own posts",
    "channels:read": "tell whether other organisations read a channel",
    "chat:write": "answer",
    "commands": "the command `/ona` and the shortcut “Send to ona”",
    "files:read": "read text files and images beside what is said",
    "files:write": "show pictures that agents post, and what turns changed",
    "groups:history": "the same in private channels",
    "groups:read": "the same in private channels",
    "im:history": "hear direct messages",
    "im:read": "the same in direct messages",
    "im:write": "answer in a direct message what was asked with `private:`",
    "mpim:history": "hear direct messages of several people",
    "mpim:read": "the same in direct messages of several people",
    "reactions:read": "stop by a reaction",
    "reactions:write": "show at a message that it waits, failed, or needs somebody",
    "users:read": "tell members from guests and strangers, and know their names",
}
"""Scopes of the bot token, and what each is for."""
AGENT_SCOPES: Mapping[str, str] = {
    "assistant:write": "say in Slack's own way that it works, with Slack's own stop button",
}
"""Those that come with being declared an agent; everything else works without."""
EXAMINE_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found out."""

    team: str = ""
    user: str = ""
    missing: tuple[str, ...] = ()
    """Scopes that the bot token lacks."""
    no_agent: str = ""
    """Why there are no agent sessions; "" when nothing stands against them."""
    wrong: str = ""
    """Why it does not work at all; "" when it does."""
    judged: bool = True
    """Whether Slack said that, and not that it could not be asked."""


def misplaced(tokens: Mapping[str, str]) -> str:
    """Which token stands in another one's place, by how it begins; "": none. Pure."""
    for name, begins in (("bot_token", "xapp-"), ("app_token", "xoxb-")):
        if tokens.get(name, "").startswith(begins):
            return f"{name} begins with {begins}"
    return ""


async def examine(
    *,
    bot_token: str,
    app_token: str = "",
    signing_secret: str = "",
    session: aiohttp.ClientSession,
    api: str = API,
) -> Examined:
    """Ask who we are and what we may do, and for a connection, which is not opened.

    With a `signing_secret` there is none to ask for; nothing but a delivery shows whether it is
    right.
    """
    slack = client(bot_token, session, api=api)
    deadline = Deadline.after(EXAMINE_SECONDS)
    try:
        who = await call(deadline, slack.auth_test)
    except ChatError as error:
        return Examined(wrong=f"the bot token: {error}", judged=is_judgement(error))
    granted = {one.strip() for one in str(who.headers.get("x-oauth-scopes", "")).split(",")}
    found = Examined(
        team=who["team"],
        user=who["user"],
        missing=tuple(scope for scope in SCOPES if scope not in granted),
        no_agent=await _no_agent(slack, granted, deadline),
    )
    if signing_secret:
        return found
    try:
        await call(deadline, lambda: slack.apps_connections_open(app_token=app_token))
    except ChatError as error:
        wrong = f"the app's token: {error}"
        return Examined(wrong=wrong, missing=found.missing, judged=is_judgement(error))
    return found


async def _no_agent(slack: AsyncWebClient, granted: Collection[str], deadline: Deadline) -> str:
    """Why we have no agent sessions there, as far as asking for one that does not exist tells."""
    lacking = [scope for scope in AGENT_SCOPES if scope not in granted]
    if lacking:
        return f"the app is not declared an agent (scope {', '.join(lacking)})"

    async def ask() -> Any:
        return await slack.agents_sessions_rename(
            channel_id="C0", thread_ts="1.000001", title="ona"
        )

    try:
        await call(deadline, ask)
    except ChatError as error:
        code = code_of(error)
        return f"Slack says {code}" if code in NOT_IN_WORKSPACE else ""
    return ""
