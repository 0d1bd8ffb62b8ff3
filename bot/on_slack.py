"""Opens Slack: what posts there, and what hears it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from adapters.chat.slack import calls
from adapters.chat.slack.listening import SlackListener
from adapters.chat.slack.port import SURFACE, SlackChat
from bot.config import Settings
from bot.conversation.home import suggested
from bot.surfaces import Surfaces, say
from bot.words.catalogue import N_

OF_ADAPTERS = (
    N_("I am no member of this channel: `/invite` me, then ask again."),
    N_("When?"),
    N_("Date and time"),
    N_("Or in words, such as friday 16:00"),
    N_("OK"),
    N_("Cancel"),
    N_("Choose a time, or say it in words."),
)
"""What the adapter says to people itself; it knows no catalogue."""


async def open_slack(
    stack: AsyncExitStack, surfaces: Surfaces, settings: Settings, tokens: Mapping[str, str]
) -> None:
    """The app, with what hears it; `tokens` as `slack_tokens` gives them."""
    session = await stack.enter_async_context(calls.open_session())
    api = settings.slack.api_url
    surfaces.ports[SURFACE] = SlackChat(calls.client(tokens["bot_token"], session, api=api))
    listener = SlackListener(
        **tokens,
        session=session,
        api=api,
        mention=settings.mention,
        start_reaction=settings.slack.start_reaction,
        tell=surfaces.standings.tell_of(SURFACE),
        say=partial(say, settings.language),
        suggest=suggested,
    )
    surfaces.listeners[SURFACE] = listener.run
    if listener.hooks is not None:
        surfaces.hooks[SURFACE] = listener.hooks.handle
