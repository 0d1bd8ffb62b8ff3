"""Listens to Discord's gateway; one process of the installation does, whoever leads.

Discord acknowledges nothing: what was said while nobody listened is read back from the threads and
channels that are known, and heard again; whoever hears drops what is known already.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import discord
import structlog
from discord import app_commands

from adapters.chat.calling import trace
from adapters.chat.discord import history, picking
from adapters.chat.discord.commands import Commands, Described, Projects, no_projects
from adapters.chat.discord.missed import (
    CATCH_UP_MESSAGES,
    CATCH_UP_SECONDS,
    Direct,
    Missed,
    no_direct,
    no_waiting,
)
from adapters.chat.discord.reading import STOP_REACTIONS, Reader, author_of, place_in
from adapters.chat.incoming import Hear, Heard, WaitingMessages
from adapters.chat.locks import Locks
from adapters.chat.own_words import Say, as_it_is
from adapters.listening import Condition, Hears, Tell, nobody

log = structlog.get_logger(__name__)

GUILDS_SECONDS = 0.5
"""So long after the last guild was told at the start, all of them were."""
PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Between tries to hear something: Discord delivers nothing again."""
REMEMBERED_MESSAGES = 5_000
"""Of which it is known whose they were when they are deleted."""
HEARS = Hears(
    ways=("a connection of ours (gateway)",),
    follow_ups=True,
    deletions="yes",
    stop_signs=STOP_REACTIONS,
    missed=f"read back, {CATCH_UP_SECONDS / 60:g} min and {CATCH_UP_MESSAGES} messages a place",
)


def intents() -> discord.Intents:
    """What we ask the gateway for: messages with what they say, reactions, and who is there."""
    return discord.Intents(
        guilds=True,
        guild_messages=True,
        guild_reactions=True,
        dm_messages=True,
        dm_reactions=True,
        message_content=True,
    )


class DiscordListener:
    """The gateway connection of one bot."""

    def __init__(
        self,
        token: str,
        *,
        mention: str = "ona",
        projects: Projects = no_projects,
        direct: Direct = no_direct,
        waiting: WaitingMessages = no_waiting,
        start_reaction: str = "",
        say: Say = as_it_is,
        tell: Tell = nobody,
    ) -> None:
        """Nothing is connected before `run`.

        :param mention: what people call us
        :param projects: says their names, to be picked from
        :param direct: says where direct messages are read back from
        :param waiting: says which messages may have been edited or deleted meanwhile
        :param start_reaction: the reaction that sends a message to us; "": none does
        :param say: our words for somebody with a locale
        """
        self._start_reaction = start_reaction
        self._say = say
        self._tell = tell
        self._token = token
        self._mention = mention
        self._projects = projects
        self._direct = direct
        self._waiting = waiting

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Listen until `stop`.

        :raises discord.DiscordException: the token is wrong, or an intent is not granted
        """
        client = _Client(
            hear,
            self._projects,
            self._direct,
            self._waiting,
            self._tell,
            mention=self._mention,
            start_reaction=self._start_reaction,
            say=self._say,
        )
        connecting = asyncio.create_task(client.start(self._token))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await client.leave()
        await connecting


class _Client(discord.Client):
    """Turns the gateway's events into what was said."""

    def __init__(
        self,
        hear: Hear,
        projects: Projects,
        direct: Direct,
        waiting: WaitingMessages,
        tell: Tell,
        *,
        mention: str,
        start_reaction: str,
        say: Say,
    ) -> None:
        super().__init__(
            intents=intents(),
            http_trace=trace(),
            max_messages=REMEMBERED_MESSAGES,
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_SECONDS,
        )
        self._hear = hear
        self._tell = tell
        self._start_reaction = start_reaction
        self._say = say
        self._reader = Reader(self)
        self._missed = Missed(
            self, self._reader, self._said, self._in_order, direct=direct, waiting=waiting
        )
        self._locks = Locks()
        self.tree = app_commands.CommandTree(self)
        commands = Commands(
            self._reader, self._hear_at_last, projects=projects, mention=mention, say=say
        )
        commands.add_to(self.tree)

    async def leave(self) -> None:
        """Close; discord.py fails in the background when that happens while it begins."""
        if self.ws is not None and not self.is_ready():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wait_until_ready(), 2 * GUILDS_SECONDS)
        await self.close()

    async def setup_hook(self) -> None:
        """Make our commands known; Discord keeps them."""
        await self.tree.set_translator(Described(self._say))
        await self.tree.sync()

    async def on_ready(self) -> None:
        log.info("discord_listening", user=str(self.user), guilds=len(self.guilds))
        self._tell(Condition.LISTENING, "")
        await self._missed.catch_up()

    async def on_resumed(self) -> None:
        log.info("discord_resumed")
        self._tell(Condition.LISTENING, "")

    async def on_disconnect(self) -> None:
        self._tell(Condition.CONNECTING, "the connection to Discord broke")

    async def on_message(self, message: discord.Message) -> None:
        await self._said(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        await self._in_order(event.channel_id, lambda: self._reader.edited(event.message))

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        await self._in_order(event.channel_id, lambda: self._reader.deleted(event))

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        place = place_in(event.guild_id, event.channel_id)
        for number in sorted(event.message_ids):
            await self._in_order(event.channel_id, partial(self._reader.gone, place, str(number)))

    async def on_thread_update(self, before: discord.Thread, after: discord.Thread) -> None:
        if before.name != after.name:
            await self._in_order(after.id, lambda: self._reader.renamed(after))

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        if self._start_reaction and event.emoji.name == self._start_reaction:
            await self._started(event)
        await self._in_order(event.channel_id, lambda: self._reader.reaction(event))

    async def _started(self, event: discord.RawReactionActionEvent) -> None:
        """Somebody sent us a message by a reaction, as if by its menu.

        People react to say something to each other: who may not ask us is not told so.
        """
        user = event.member or self.get_user(event.user_id)
        guild = None if event.guild_id is None else self.get_guild(event.guild_id)
        channel = self.get_channel(event.channel_id)
        if user is None or author_of(user, guild).standing != "member":
            return
        if not isinstance(channel, discord.TextChannel | discord.Thread):
            return
        try:
            message = await channel.fetch_message(event.message_id)
        except discord.HTTPException as error:
            log.info("reaction_not_read", channel=event.channel_id, why=str(error))
            return
        said = self._reader.started(message, user)
        if said is not None:
            async with self._locks.of(str(event.channel_id)):
                await self._hear_at_last(await history.with_material(self._reader, message, said))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        kind = interaction.type
        if kind is discord.InteractionType.component and picking.wants(interaction):
            await interaction.response.send_modal(picking.form(interaction))
            return
        if kind is discord.InteractionType.modal_submit and picking.wants(interaction):
            said = self._reader.picked(interaction)
        elif kind is discord.InteractionType.component:
            said = self._reader.pressed(interaction)
        else:
            return
        if said is not None:
            await interaction.response.defer()
            await self._hear_at_last(said)

    async def _in_order(self, channel: int, read: Callable[[], Heard | None]) -> None:
        """Hear one channel's messages in the order in which the gateway told them."""
        async with self._locks.of(str(channel)):
            heard = read()
            if heard is not None:
                await self._hear_at_last(heard)

    async def _said(self, message: discord.Message, author: discord.abc.User | None = None) -> None:
        """The same for a message, with what was said before it.

        :param author: who wrote one that is read back
        """
        async with self._locks.of(str(message.channel.id)):
            said = self._reader.message(message, author)
            if said is not None:
                said = replace(said, at=None if author is None else message.created_at)
                await self._hear_at_last(await history.with_material(self._reader, message, said))

    async def _hear_at_last(self, heard: Heard) -> None:
        """Discord delivers nothing again: who can't hear now is asked again for a while."""
        for pause in PAUSES_SECONDS:
            try:
                await self._hear(heard)
                return
            except Exception as error:
                log.warning("discord_not_heard", why=str(error), again_seconds=pause)
            await asyncio.sleep(pause)
        await self._hear(heard)
