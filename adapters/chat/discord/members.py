"""Which channels of a server somebody may see, by its roles and their permissions."""

from collections.abc import Sequence

import discord

from adapters.chat.discord.calls import call
from adapters.chat.port import Deadline, Rejected

SERVERS_MAX = 200
"""As many are looked through for a channel of which the server is not known."""


async def visible(
    client: discord.Client, server: int, person: int, deadline: Deadline
) -> Sequence[discord.abc.GuildChannel]:
    """The server's channels in which one writes, as far as the person may see them.

    :raises ChatError:
    """
    guild = await call(deadline, lambda: client.fetch_guild(server))
    try:
        member = await call(deadline, lambda: guild.fetch_member(person))
    except Rejected:
        # Nobody of that server.
        return ()
    return [
        one
        for one in await call(deadline, guild.fetch_channels)
        if isinstance(one, discord.abc.Messageable) and one.permissions_for(member).view_channel
    ]


async def servers(client: discord.Client, deadline: Deadline) -> Sequence[str]:
    """The ids of the servers that the bot is on. :raises ChatError:"""

    async def every() -> Sequence[str]:
        return [str(one.id) async for one in client.fetch_guilds(limit=SERVERS_MAX)]

    return await call(deadline, every)
