"""What was said in Discord while nobody listened, which Discord delivers to nobody again.

After a connection began anew the newest messages of every channel and thread that we see, and of
direct messages that sessions talk in, are read back and heard again; whoever hears drops what is
known already. Messages whose prompts wait are read one by one: they may say something else by then.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

import discord
import structlog

from adapters.chat.discord.port import Place
from adapters.chat.discord.reading import Reader
from adapters.chat.incoming import Heard, Waiting, WaitingMessages

log = structlog.get_logger(__name__)

CATCH_UP_SECONDS = 3600.0
"""How far what was missed is read back at most."""
CATCH_UP_MESSAGES = 100
"""Of one channel or thread."""
DIRECT_MAX = 100
"""Direct messages that are read back: those with whom somebody spoke last."""
WAITING_MAX = 20
"""Messages whose prompts wait that are looked at again."""

Direct = Callable[[int], Awaitable[Sequence[int]]]
"""Ids of so many channels of direct messages, which Discord lists to no bot; the newest first."""
InOrder = Callable[[int, Callable[[], Heard | None]], Awaitable[None]]
"""Hears what is read of a channel after what is being heard of it."""


class HearMessage(Protocol):
    """Hears a message as if it was said now."""

    async def __call__(self, message: discord.Message, author: discord.abc.User) -> None:
        """`author` is who wrote it, with their membership."""
        ...


async def no_direct(_: int) -> Sequence[int]:
    """Where no direct messages are known."""
    return ()


async def no_waiting(_: int) -> Sequence[Waiting]:
    """Where nothing is known to wait."""
    return ()


class Missed:
    """Catches one client up."""

    def __init__(
        self,
        client: discord.Client,
        reader: Reader,
        hear: HearMessage,
        in_order: InOrder,
        *,
        direct: Direct,
        waiting: WaitingMessages,
    ) -> None:
        """What was said within CATCH_UP_SECONDS may have been missed."""
        self._client = client
        self._reader = reader
        self._hear = hear
        self._in_order = in_order
        self._direct = direct
        self._waiting = waiting
        self._heard_at = datetime.now(UTC) - timedelta(seconds=CATCH_UP_SECONDS)

    async def catch_up(self) -> None:
        """Hear what was said, edited and deleted in places that we see."""
        await self._read_again()
        began = datetime.now(UTC)
        since = max(self._heard_at, began - timedelta(seconds=CATCH_UP_SECONDS))
        whole = True
        for guild in self._client.guilds:
            channels: list[discord.TextChannel | discord.Thread]
            channels = [*guild.text_channels, *guild.threads]
            for channel in channels:
                if channel.permissions_for(guild.me).read_message_history:
                    whole = await self._read_back(channel, guild, since) and whole
        if await self._read_back_direct(since) and whole:
            self._heard_at = began

    async def _read_again(self) -> None:
        """Hear what became of the messages that wait while nobody listened."""
        try:
            waiting = await self._waiting(WAITING_MAX)
        except Exception as error:
            log.warning("discord_not_read_again", why=str(error))
            return
        for one in waiting:
            # What was said by a command or a menu is nobody's message to change.
            if one.key.isdecimal():
                await self._read_one_again(Place.read(one.place), int(one.key))

    async def _read_one_again(self, place: Place, number: int) -> None:
        channel = place.channel if number == place.message else place.thread
        guild = self._client.get_guild(int(place.guild)) if place.guild.isdecimal() else None
        where = self._client.get_channel(channel) or self._client.get_partial_messageable(channel)
        if not isinstance(where, discord.abc.Messageable):
            return
        try:
            message = await where.fetch_message(number)
            author = await self._member(guild, message.author)
        except discord.NotFound:
            await self._in_order(channel, lambda: self._reader.gone(place, str(number)))
        except discord.HTTPException as error:
            log.warning("discord_not_read_again", channel=channel, why=str(error))
        else:
            await self._in_order(channel, lambda: self._reader.edited(message, author))

    async def _read_back_direct(self, since: datetime) -> bool:
        """The same of direct messages; whether all of them could be read."""
        try:
            numbers = await self._direct(DIRECT_MAX)
        except Exception as error:
            log.warning("discord_not_caught_up", channel="direct", why=str(error))
            return False
        whole = True
        for number in numbers:
            channel = self._client.get_partial_messageable(number, type=discord.ChannelType.private)
            whole = await self._read_back(channel, None, since) and whole
        return whole

    async def _member(
        self, guild: discord.Guild | None, user: discord.User | discord.Member
    ) -> discord.User | discord.Member:
        """The author of an older message, which comes without their membership."""
        if guild is None or isinstance(user, discord.Member) or user.bot:
            return user
        with suppress(discord.NotFound):
            return guild.get_member(user.id) or await guild.fetch_member(user.id)
        return user

    async def _read_back(
        self, channel: discord.abc.Messageable, guild: discord.Guild | None, since: datetime
    ) -> bool:
        """Hear what was said in a channel since then; whether it could be read.

        Of more than fits that is the newest: what is older was heard when it was said.
        """
        try:
            newest = [
                message
                async for message in channel.history(
                    after=since, limit=CATCH_UP_MESSAGES, oldest_first=False
                )
            ]
            for message in reversed(newest):
                await self._hear(message, await self._member(guild, message.author))
        except discord.HTTPException as error:
            log.warning("discord_not_caught_up", channel=str(channel), why=str(error))
            return False
        return True
