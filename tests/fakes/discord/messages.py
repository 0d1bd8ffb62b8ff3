"""What happens to messages, whoever does it: posted, edited, deleted, reacted to."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.discord import mentions, payloads, refused
from tests.fakes.discord.clock import made_at
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.sessions import Session
from tests.fakes.discord.world import (
    DEFAULT,
    EDIT_OLD_SECONDS,
    LOADING,
    REPLY,
    SUPPRESS_NOTIFICATIONS,
    Attachment,
    Channel,
    Message,
    Permission,
    User,
    permissions,
    readers,
)

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

REACTIONS_MAX = 20
NONCE_SECONDS = 300.0
"""How long a nonce is remembered; Discord says: the past few minutes."""
OLD_EDITS = 3
OLD_EDITS_SECONDS = 20.0
"""Edits of old messages in a channel (not published; what bots report)."""


@dataclass(kw_only=True)
class Draft:
    """What a message is to say."""

    text: str = ""
    type: int = DEFAULT
    flags: int = 0
    nonce: str | int | None = None
    enforce_nonce: bool = False
    reply_to: Message | None = None
    embeds: list[dict] = field(default_factory=list)
    components: list[dict] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    allowed: dict | None = None
    webhook: bool = False
    interaction: dict | None = None
    seen_by: User | None = None


@dataclass(frozen=True, kw_only=True)
class Notification:
    """Why a person's client made a sound."""

    message: Message
    person: User


class Messages:
    """Everything that was ever said."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord
        self.old_edits: dict[int, deque[float]] = {}
        self.old_edits_max = OLD_EDITS

    def find(self, channel: Channel, number: int) -> Message:
        if number not in channel.messages:
            raise refused.unknown("Message")
        return channel.messages[number]

    def post(self, channel: Channel, author: User, draft: Draft) -> Message:
        """Post it, wake the thread, let members join, notify, send the event."""
        if draft.enforce_nonce and (same := self._same(channel, author, draft.nonce)):
            return same
        ephemeral = draft.seen_by is not None
        if channel.is_thread and not ephemeral:
            self._wake(channel, author)
        message = self._make(channel, author, draft)
        found = self._mention(message, draft.allowed)
        if not ephemeral:
            channel.messages[message.id] = message
            channel.sent += 1
        else:
            self.discord.ephemerals.append(message)
        if channel.is_thread and not ephemeral:
            self.discord.thread_things.join(channel, [author, *found.users])
        if not message.flags & LOADING:
            self._notify(message, found)
        if not ephemeral:
            self._tell("MESSAGE_CREATE", message)
        self.discord.touch()
        return message

    def _make(self, channel: Channel, author: User, draft: Draft) -> Message:
        reply_to = draft.reply_to
        return Message(
            id=self.discord.clock.snowflake(),
            channel=channel,
            author=author,
            texts=[draft.text.strip()],
            type=REPLY if reply_to and draft.type == DEFAULT else draft.type,
            flags=draft.flags,
            nonce=draft.nonce,
            reference=reply_to,
            referenced=(reply_to.channel.id, reply_to.id) if reply_to else None,
            embeds=draft.embeds,
            components=draft.components,
            attachments=list(draft.attachments),
            allowed=draft.allowed,
            webhook=draft.webhook,
            interaction=draft.interaction,
            seen_by=draft.seen_by,
        )

    def _same(self, channel: Channel, author: User, nonce: str | int | None) -> Message | None:
        since = self.discord.clock.now() - NONCE_SECONDS
        for message in channel.messages.values():
            known = nonce is not None and str(message.nonce) == str(nonce)
            if known and message.author is author and made_at(message.id) > since:
                return message
        return None

    def _wake(self, thread: Channel, author: User) -> None:
        may = permissions(author, thread)
        if thread.locked and not may & Permission.MANAGE_THREADS:
            raise refused.locked()
        if thread.archived:
            self.discord.thread_things.change(thread, {"archived": False})

    def _mention(self, message: Message, allowed: dict | None) -> mentions.Mentions:
        rules = mentions.ALL if allowed is None else allowed
        found = mentions.find(message.text, message.author, message.channel, rules)
        replied = message.reference if message.type == REPLY else None
        if replied and rules.get("replied_user") and replied.author not in found.users:
            found.users.append(replied.author)
        message.mentions, message.mention_roles = found.users, found.roles
        message.mention_everyone = found.everyone
        return found

    def _notify(self, message: Message, found: mentions.Mentions) -> None:
        channel, author = message.channel, message.author
        if message.flags & SUPPRESS_NOTIFICATIONS:
            return
        reached = mentions.pinged(found, author, channel)
        if channel.guild is None:
            reached = [user for user in channel.recipients if user is not author and not user.bot]
        if message.seen_by:
            reached = []
        self.discord.notifications += [Notification(message=message, person=u) for u in reached]

    def edit(
        self,
        message: Message,
        *,
        text: str | None = None,
        embeds: list[dict] | None = None,
        components: list[dict] | None = None,
        attachments: Sequence[Attachment] | None = None,
        allowed: dict | None = None,
        flags: int | None = None,
    ) -> Message:
        """Change what is given; nobody is notified."""
        if text is not None:
            message.texts.append(text.strip())
        for name, value in (("embeds", embeds), ("components", components), ("flags", flags)):
            if value is not None:
                setattr(message, name, value)
        if attachments is not None:
            message.attachments = list(attachments)
        if text is not None:
            self._mention(message, allowed)
        message.edits += 1
        message.edited_at = self.discord.clock.now()
        if not message.ephemeral:
            self._tell("MESSAGE_UPDATE", message)
        self.discord.touch()
        return message

    def limit_old_edits(self, message: Message) -> None:
        """Refuse too many edits of messages that are older than an hour."""
        now = self.discord.clock.now()
        if made_at(message.id) > now - EDIT_OLD_SECONDS:
            return
        seconds = OLD_EDITS_SECONDS * self.discord.rates.scale
        edits = self.old_edits.setdefault(message.channel.id, deque())
        while edits and edits[0] <= now - seconds:
            edits.popleft()
        if len(edits) >= self.old_edits_max:
            words = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            raise Refused(429, 30046, words, {"retry_after": edits[0] + seconds - now})
        edits.append(now)

    def delete(self, message: Message) -> None:
        message.channel.messages.pop(message.id, None)
        if message in self.discord.ephemerals:
            self.discord.ephemerals.remove(message)
        message.deleted = True
        if not message.ephemeral:
            channel = message.channel
            body = self._where(message) | {"id": str(message.id)}
            self.discord.gateway.emit("MESSAGE_DELETE", body, channel=channel)
        self.discord.touch()

    def purge(self, messages: Sequence[Message]) -> None:
        """Delete messages of one channel at once, of which one event tells."""
        channel = messages[0].channel
        for message in messages:
            channel.messages.pop(message.id, None)
            message.deleted = True
        where = self._where(messages[0])
        body = {
            "ids": [str(message.id) for message in messages],
            **{key: where[key] for key in ("channel_id", "guild_id") if key in where},
        }
        self.discord.gateway.emit("MESSAGE_DELETE_BULK", body, channel=channel)
        self.discord.touch()

    def react(self, message: Message, user: User, emoji: str) -> None:
        self._alive(message.channel)
        if emoji not in message.reactions and len(message.reactions) >= REACTIONS_MAX:
            words = f"Maximum number of reactions reached ({REACTIONS_MAX})"
            raise Refused(400, 30010, words)
        users = message.reactions.setdefault(emoji, {})
        if user.id in users:
            return
        users[user.id] = user
        body = self._reaction(message, user, emoji) | {"message_author_id": str(message.author.id)}
        guild = message.channel.guild
        if guild and user.id in guild.members:
            body["member"] = payloads.member(guild.members[user.id])
        self.discord.gateway.emit("MESSAGE_REACTION_ADD", body, channel=message.channel)

    def unreact(self, message: Message, user: User, emoji: str) -> None:
        if message.reactions.get(emoji, {}).pop(user.id, None) is None:
            return
        if not message.reactions[emoji]:
            del message.reactions[emoji]
        body = self._reaction(message, user, emoji)
        self.discord.gateway.emit("MESSAGE_REACTION_REMOVE", body, channel=message.channel)

    def _alive(self, channel: Channel) -> None:
        if channel.archived:
            raise refused.archived()

    def _where(self, message: Message) -> dict:
        guild = message.channel.guild
        more = {"guild_id": str(guild.id)} if guild else {}
        return {"channel_id": str(message.channel.id), **more}

    def _reaction(self, message: Message, user: User, emoji: str) -> dict:
        return self._where(message) | {
            "user_id": str(user.id),
            "message_id": str(message.id),
            "emoji": payloads.emoji(emoji),
            "burst": False,
            "type": 0,
        }

    def changed(self, message: Message) -> None:
        """Tell that something of it changed that is not an edit."""
        self._tell("MESSAGE_UPDATE", message)

    def _tell(self, name: str, message: Message) -> None:
        channel, author = message.channel, message.author
        guild = channel.guild

        def body(session: Session) -> dict:
            viewer = session.app.user
            url = self.discord.url
            shown = payloads.message(message, viewer, url, content=session.knows_content)
            shown |= self._where(message) | {"channel_type": channel.type}
            if guild and author.id in guild.members and not message.webhook:
                shown["member"] = payloads.member(guild.members[author.id], with_user=False)
            if name == "MESSAGE_CREATE" and message.nonce is not None:
                shown["nonce"] = message.nonce
            return shown

        self.discord.gateway.emit(name, body, channel=channel)

    def seen(self, channel: Channel, user: User) -> list[Message]:
        """What a user finds in a channel, ephemeral ones of theirs among it, oldest first."""
        if user not in readers(channel):
            return []
        own = [m for m in self.discord.ephemerals if m.channel is channel and m.seen_by is user]
        return sorted([*channel.messages.values(), *own], key=lambda message: message.id)
