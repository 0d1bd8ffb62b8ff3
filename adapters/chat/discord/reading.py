"""What Discord's gateway tells, turned into what was said."""

from collections.abc import Mapping
from dataclasses import replace

import discord

from adapters.chat.discord import markup, picking
from adapters.chat.discord.port import ACTION, DIRECT, SURFACE, Place
from adapters.chat.incoming import (
    Author,
    Quoted,
    Reacted,
    Renamed,
    Reworded,
    Said,
    Spot,
    Standing,
    Withdrawn,
)

STOP_REACTIONS = frozenset({"❌", "✋", "🛑"})
SPOKEN = frozenset({discord.MessageType.default, discord.MessageType.reply})
"""Types of messages that a person wrote."""


def author_of(
    user: discord.abc.User, guild: discord.Guild | None, locale: discord.Locale | None = None
) -> Author:
    """Somebody as the bot knows them: who is in the guild, or writes to it alone, is a member.

    :param locale: in which they use Discord; only interactions tell
    """
    standing: Standing = "member"
    if user.bot or user.system:
        standing = "bot"
    elif guild is not None and not isinstance(user, discord.Member):
        standing = "stranger"
    return Author(
        account="discord",
        id=str(user.id),
        name=user.display_name,
        standing=standing,
        locale=None if locale is None else str(locale),
    )


def place_of(
    channel: discord.abc.Snowflake, guild: discord.Guild | None, message: int | None
) -> Place:
    """Where an answer to something in `channel` stands: under `message`, unless it is a thread."""
    if guild is None:
        return Place(DIRECT, channel.id, None)
    if isinstance(channel, discord.Thread):
        # A thread that began with a message has its id, and is the same place from both sides.
        return Place(str(guild.id), channel.parent_id or channel.id, channel.id)
    return Place(str(guild.id), channel.id, message)


def is_public(channel: object, guild: discord.Guild | None) -> bool:
    """Whether everybody on the server can read the channel or thread."""
    if guild is None or (isinstance(channel, discord.Thread) and channel.is_private()):
        return False
    where = channel.parent if isinstance(channel, discord.Thread) else channel
    if not isinstance(where, discord.abc.GuildChannel):
        return False
    return where.permissions_for(guild.default_role).view_channel


def spot_of(place: Place, *, public: bool) -> Spot:
    """The spot of a place."""
    return Spot(
        surface=SURFACE,
        channel=f"{place.guild}/{place.channel}",
        place=str(place),
        direct=place.guild == DIRECT,
        public=public,
    )


def place_in(guild: int | None, channel: int) -> Place:
    """Where something is of which Discord says no more than its channel."""
    return Place(str(guild or DIRECT), channel, None)


class Reader:
    """Reads what one bot hears."""

    def __init__(self, client: discord.Client) -> None:
        """`client` knows who we are, and the names of people, roles and channels."""
        self._client = client

    @property
    def _us(self) -> int:
        return self._client.user.id if self._client.user is not None else 0

    def message(
        self, message: discord.Message, author: discord.abc.User | None = None
    ) -> Said | None:
        """What was said; None: nobody said it.

        :param author: who did, where the message itself does not tell enough
        """
        if message.type not in SPOKEN or message.author.id == self._us:
            return None
        spot = spot_of(
            place_of(message.channel, message.guild, message.id),
            public=is_public(message.channel, message.guild),
        )
        mentioned = markup.mentions(message.content)
        roles = {role.id for role in message.role_mentions}
        ours = set() if message.guild is None else {role.id for role in message.guild.me.roles}
        # Who answers a post of ours, and lets it notify us, says so beside the text.
        named = {*mentioned, *(user.id for user in message.mentions)}
        to_us = spot.direct or self._us in named or bool(roles & ours)
        others = named - {self._us, message.author.id}
        return Said(
            spot=spot,
            author=author_of(author or message.author, message.guild),
            delivery=str(message.id),
            key=str(message.id),
            ref=str(message.id),
            text=self._plain(self.without_us(message.content), message),
            to_us=to_us,
            to_others=bool(others or roles - ours) or message.mention_everyone,
            post=_answered(message),
        )

    def quoted(self, message: discord.Message) -> Quoted | None:
        """A message that is only read; None: we wrote it, or nobody did."""
        if message.type not in SPOKEN or message.author.id == self._us:
            return None
        files = [f"[file {one.filename}]" for one in message.attachments]
        text = "\n".join(part for part in (words_of(message), *files) if part)
        return Quoted(
            key=str(message.id),
            author=message.author.display_name,
            at=message.created_at,
            text=self._plain(text, message),
        )

    def edited(
        self, message: discord.Message, author: discord.abc.User | None = None
    ) -> Reworded | None:
        """A message that says something else now; `author` as in `message`."""
        said = self.message(message, author)
        if said is None or message.edited_at is None:
            return None
        return Reworded(spot=said.spot, author=said.author, key=said.key, text=said.text)

    def deleted(self, event: discord.RawMessageDeleteEvent) -> Withdrawn | None:
        """A message that is gone; whose it was Discord does not say, and we may not remember."""
        if event.cached_message is None:
            return self.gone(place_in(event.guild_id, event.channel_id), str(event.message_id))
        said = self.message(event.cached_message)
        if said is None:
            return None
        return Withdrawn(spot=said.spot, author=said.author, key=said.key)

    def gone(self, place: Place, key: str) -> Withdrawn:
        """A message that is not there any more."""
        return Withdrawn(spot=spot_of(place, public=False), author=None, key=key)

    def renamed(self, thread: discord.Thread) -> Renamed:
        """A thread that is called something else now; Discord does not say who did it."""
        spot = spot_of(place_of(thread, thread.guild, None), public=is_public(thread, thread.guild))
        return Renamed(spot=spot, author=None, title=thread.name)

    def reaction(self, event: discord.RawReactionActionEvent) -> Reacted | None:
        """A reaction to one of our posts that means: stop."""
        ours = event.message_author_id == self._us
        if str(event.emoji) not in STOP_REACTIONS or not ours or event.user_id == self._us:
            return None
        channel = self._client.get_channel(event.channel_id)
        guild = self._client.get_guild(event.guild_id) if event.guild_id else None
        parent = channel.parent_id if isinstance(channel, discord.Thread) else None
        user: discord.abc.User | None = event.member or self._client.get_user(event.user_id)
        if user is None:
            return None
        where = parent or event.channel_id
        return Reacted(
            surface=SURFACE,
            channel=f"{event.guild_id or DIRECT}/{where}",
            shared=False,
            author=author_of(user, guild),
            delivery=f"{event.message_id}/{event.user_id}/{event.emoji}",
            ref=str(event.message_id),
        )

    def pressed(self, interaction: discord.Interaction) -> Said | None:
        """What a pressed button says."""
        data: Mapping[str, object] = interaction.data or {}
        says = str(data.get("custom_id") or "")
        if not says.startswith(ACTION) or interaction.channel is None:
            return None
        place = place_of(interaction.channel, interaction.guild, None)
        said = self.by_interaction(interaction, place, says.removeprefix(ACTION))
        return replace(said, post=str(interaction.message.id) if interaction.message else "")

    def picked(self, interaction: discord.Interaction) -> Said | None:
        """What a button says with the words that were chosen for it; None: none were."""
        says = picking.chosen(interaction)
        if not says or interaction.channel is None:
            return None
        place = place_of(interaction.channel, interaction.guild, None)
        return self.by_interaction(interaction, place, says)

    def sent(self, interaction: discord.Interaction, message: discord.Message) -> Said:
        """A message that somebody sent to us by its menu, once however often they do."""
        place = place_of(message.channel, message.guild, message.id)
        text = self._words(message)
        said = self.by_interaction(interaction, place, text, ref=str(message.id))
        return replace(said, key=_sent_key(message, interaction.user))

    def started(self, message: discord.Message, user: discord.abc.User) -> Said | None:
        """The same by a reaction; None: it says nothing, or we wrote it."""
        if message.author.id == self._us or not words_of(message):
            return None
        spot = spot_of(
            place_of(message.channel, message.guild, message.id),
            public=is_public(message.channel, message.guild),
        )
        key = _sent_key(message, user)
        return Said(
            spot=spot,
            author=author_of(user, message.guild),
            delivery=key,
            key=key,
            ref=str(message.id),
            text=self._words(message),
            to_us=True,
            pressed=True,
            typed=True,
        )

    def _words(self, message: discord.Message) -> str:
        return self._plain(self.without_us(words_of(message)), message)

    def without_us(self, text: str) -> str:
        """A text as Discord writes it, without a mention of us where it begins."""
        return markup.without_mention(text, self._us)

    def by_interaction(
        self,
        interaction: discord.Interaction,
        place: Place,
        text: str,
        *,
        ref: str = "",
        project: str = "",
    ) -> Said:
        """What somebody says by a button, or by a command, which has a `ref`."""
        key = f"interaction/{interaction.id}"
        return Said(
            spot=spot_of(place, public=is_public(interaction.channel, interaction.guild)),
            author=author_of(interaction.user, interaction.guild, interaction.locale),
            delivery=key,
            key=key,
            ref=ref,
            text=text,
            to_us=True,
            pressed=True,
            typed=bool(ref),
            project=project,
        )

    def _plain(self, text: str, message: discord.Message) -> str:
        guild = message.guild
        mentioned = {user.id: user for user in message.mentions}

        def name(kind: str, number: int) -> str:
            found: object = None
            if kind == "@":
                found = mentioned.get(number) or self._client.get_user(number)
            elif kind == "@&":
                found = guild and guild.get_role(number)
            else:
                found = guild and guild.get_channel_or_thread(number)
            return str(getattr(found, "display_name", None) or getattr(found, "name", number))

        return markup.plain(text, name)


def words_of(message: discord.Message) -> str:
    """What it says, as Discord writes it; of an alert that is often in its embeds only."""
    embedded = [part for one in message.embeds for part in (one.title, one.description)]
    return "\n".join(part for part in (message.content, *embedded) if part)


def _sent_key(message: discord.Message, user: discord.abc.User) -> str:
    """However somebody sends a message to us, it is sent once."""
    return f"{message.id}/sent/{user.id}"


def _answered(message: discord.Message) -> str:
    """The message that one answers; empty: none."""
    reference = message.reference if message.type == discord.MessageType.reply else None
    return str(reference.message_id or "") if reference is not None else ""
