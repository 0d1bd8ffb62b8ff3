"""Reads back what was said while nobody listened: Discord delivers nothing again.

The places are the channels and threads that we see, and the conversations with people alone that
are known: Discord lists none of those. Of each the newest messages are read, and heard in the order
in which they were said; whoever hears drops what is known already.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime

import discord
import structlog

log = structlog.get_logger(__name__)

CATCH_UP_SECONDS = 3600.0
"""How far what was missed is read back at most."""
CATCH_UP_MESSAGES = 100
"""Of one channel, thread or conversation."""
DIRECTS_MAX = 100
"""Conversations with people alone that are read back, those that were used last."""

Directs = Callable[[int], Awaitable[Sequence[int]]]
"""Ids of so many channels at most in which somebody talks to us alone, the last used first."""
HearMessage = Callable[[discord.Message, discord.abc.User], Awaitable[None]]
"""Hears a message of an author, who is a member where they are one."""

Place = discord.TextChannel | discord.Thread | discord.PartialMessageable


async def no_directs(_most: int) -> Sequence[int]:
    """None are known."""
    return ()


async def read_back(
    client: discord.Client, since: datetime, directs: Directs, hear: HearMessage
) -> None:
    """Hear what was said since then, wherever that can be read."""
    for guild in client.guilds:
        channels: list[discord.TextChannel | discord.Thread]
        channels = [*guild.text_channels, *guild.threads]
        for channel in channels:
            if channel.permissions_for(guild.me).read_message_history:
                await _place(channel, guild, since, hear)
    for channel_id in await directs(DIRECTS_MAX):
        alone = client.get_partial_messageable(channel_id, type=discord.ChannelType.private)
        await _place(alone, None, since, hear)


async def _place(
    place: Place, guild: discord.Guild | None, since: datetime, hear: HearMessage
) -> None:
    try:
        # The newest first: in a busy channel those are what was missed.
        found = [
            one
            async for one in place.history(after=since, limit=CATCH_UP_MESSAGES, oldest_first=False)
        ]
        for message in reversed(found):
            await hear(message, await _author(guild, message.author))
    except discord.HTTPException as error:
        log.warning("discord_not_caught_up", channel=place.id, why=str(error))


async def _author(
    guild: discord.Guild | None, user: discord.User | discord.Member
) -> discord.User | discord.Member:
    """The author of an older message, which comes without their membership."""
    if guild is None or isinstance(user, discord.Member) or user.bot:
        return user
    with suppress(discord.NotFound):
        return guild.get_member(user.id) or await guild.fetch_member(user.id)
    return user
