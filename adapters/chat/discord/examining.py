"""Whether the bot's token is good for what we do, found out by using it."""

from dataclasses import dataclass

import discord

from adapters.chat.calling import is_judgement, trace
from adapters.chat.discord.calls import call
from adapters.chat.port import ChatError, Deadline

EXAMINE_SECONDS = 15.0
PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    create_public_threads=True,
    read_message_history=True,
    add_reactions=True,
    attach_files=True,
)
"""What the bot needs in a channel."""
PERMISSION_NAMES = tuple(
    "view channels" if name == "read_messages" else name.replace("_", " ")
    for name, wanted in PERMISSIONS
    if wanted
)
"""The same as Discord's pages call them."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found out."""

    name: str = ""
    reads_content: bool = False
    """Whether the Message Content intent is switched on."""
    public: bool = False
    """Whether anybody can let it into a guild of theirs."""
    invitation: str = ""
    """Where to let the bot into a guild."""
    permissions: int = PERMISSIONS.value
    """What it asks for there, as Discord counts it."""
    permission_names: tuple[str, ...] = PERMISSION_NAMES
    wrong: str = ""
    """Why it does not work at all; "" when it does."""
    judged: bool = True
    """Whether Discord said that, and not that it could not be asked."""


async def examine(token: str) -> Examined:
    """Log in and ask what the app may do; no gateway is opened."""
    deadline = Deadline.after(EXAMINE_SECONDS)
    async with discord.Client(intents=discord.Intents(guilds=True), http_trace=trace()) as client:
        try:
            await call(deadline, lambda: client.login(token))
            app = await call(deadline, client.application_info)
        except discord.LoginFailure as error:
            return Examined(wrong=f"the token: {error}")
        except ChatError as error:
            return Examined(wrong=f"the token: {error}", judged=is_judgement(error))
    flags = app.flags
    return Examined(
        name=app.name,
        public=app.bot_public,
        reads_content=flags.gateway_message_content or flags.gateway_message_content_limited,
        invitation=discord.utils.oauth_url(
            app.id, permissions=PERMISSIONS, scopes=("bot", "applications.commands")
        ),
    )
