"""What happens to channels and threads, whoever does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.fakes.discord import payloads, refused
from tests.fakes.discord.messages import Draft
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.sessions import Session
from tests.fakes.discord.world import (
    FORUM,
    HAS_THREAD,
    PUBLIC_THREAD,
    STARTER,
    THREAD_CREATED,
    Channel,
    Message,
    Permission,
    User,
    permissions,
)

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

NAME_LENGTH_MAX = 100
AUTO_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)


def _check_minutes(minutes: int) -> None:
    if minutes not in AUTO_ARCHIVE_MINUTES:
        words = f"Value must be one of {AUTO_ARCHIVE_MINUTES}."
        raise refused.form("auto_archive_duration", "BASE_TYPE_CHOICES", words)


class ThreadThings:
    """Threads and channels: made, changed, joined, deleted."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord

    def open(
        self,
        parent: Channel,
        owner: User,
        name: str,
        *,
        type: int = PUBLIC_THREAD,
        number: int | None = None,
        auto_archive_minutes: int = 4320,
    ) -> Channel:
        """Open a thread; its id is the message's from which it starts."""
        refused.bounded("name", name, 1, NAME_LENGTH_MAX)
        _check_minutes(auto_archive_minutes)
        now = self.discord.clock.now()
        thread = Channel(
            id=number or self.discord.clock.snowflake(),
            type=type,
            name=name,
            guild=parent.guild,
            parent=parent,
            owner=owner,
            auto_archive_minutes=auto_archive_minutes,
            archive_changed_at=now,
            members={owner.id: now},
        )
        self.discord.channels[thread.id] = thread
        self.tell("THREAD_CREATE", thread, newly_created=True)
        self._members_update(thread, added=[owner])
        return thread

    def open_from(self, message: Message, owner: User, name: str, **more: int) -> Channel:
        """Open a thread at a message, as both then show it."""
        if message.thread or message.id in self.discord.channels:
            raise Refused(400, 160004, "A thread has already been created for this message")
        thread = self.open(message.channel, owner, name, number=message.id, **more)
        message.thread = thread
        message.flags |= HAS_THREAD
        self.discord.messages.changed(message)
        starter = Draft(type=STARTER, reply_to=message, allowed={"parse": []})
        self.discord.messages.post(thread, owner, starter)
        return thread

    def open_without(
        self, parent: Channel, owner: User, name: str, *, type: int, **more: int
    ) -> Channel:
        """Open a thread at no message; a public one is announced in its channel."""
        thread = self.open(parent, owner, name, type=type, **more)
        if type == PUBLIC_THREAD and parent.type != FORUM:
            said = Draft(text=name, type=THREAD_CREATED, allowed={"parse": []})
            note = self.discord.messages.post(parent, owner, said)
            note.referenced = (thread.id, thread.id)
        return thread

    def change(self, channel: Channel, changes: dict) -> Channel:
        """Change what is given, without asking who wants it."""
        names = {"auto_archive_duration": "auto_archive_minutes"}
        was_archived = channel.archived
        for key, value in changes.items():
            setattr(channel, names.get(key, key), value)
        if "archived" in changes or "auto_archive_duration" in changes:
            channel.archive_changed_at = self.discord.clock.now()
        if not channel.is_thread:
            self.tell("CHANNEL_UPDATE", channel)
            return channel
        self.tell("THREAD_UPDATE", channel)
        if was_archived and not channel.archived:
            for app in self.discord.apps:
                if app.id in channel.members:
                    assert channel.guild
                    body = payloads.thread_member(channel, app.id)
                    body["guild_id"] = str(channel.guild.id)
                    self.discord.gateway.emit(
                        "THREAD_MEMBER_UPDATE", body, guild=channel.guild, only=app
                    )
        return channel

    def join(self, thread: Channel, users: Sequence[User]) -> None:
        """Let users into a thread who can see its channel."""
        assert thread.parent
        assert thread.guild
        new = [user for user in dict.fromkeys(users) if user.id not in thread.members]
        new = [user for user in new if permissions(user, thread.parent)]
        for user in new:
            thread.members[user.id] = self.discord.clock.now()
        for app in self.discord.apps:
            if app.user in new:
                body = payloads.channel(thread, app.user)
                self.discord.gateway.emit("THREAD_CREATE", body, guild=thread.guild, only=app)
        if new:
            self._members_update(thread, added=new)

    def leave(self, thread: Channel, user: User) -> None:
        if thread.members.pop(user.id, None) is not None:
            self._members_update(thread, removed=[user])

    def delete(self, channel: Channel) -> None:
        """Delete a thread, or a channel with its threads."""
        if not channel.is_thread:
            for thread in self.discord.threads_of(channel):
                thread.deleted = True
                del self.discord.channels[thread.id]
        name = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
        body = self._gone(channel) if channel.is_thread else payloads.channel(channel)
        self.discord.gateway.emit(name, body, channel=channel)
        channel.deleted = True
        del self.discord.channels[channel.id]
        if channel.guild:
            channel.guild.channels.pop(channel.id, None)

    def _gone(self, thread: Channel) -> dict:
        assert thread.guild
        assert thread.parent
        return {
            "id": str(thread.id),
            "guild_id": str(thread.guild.id),
            "parent_id": str(thread.parent.id),
            "type": thread.type,
        }

    def tell(self, name: str, channel: Channel, **more: bool) -> None:
        """Send an event with the channel to all who can see it."""
        self.discord.gateway.emit(
            name,
            lambda session: payloads.channel(channel, session.app.user) | more,
            channel=channel,
        )

    def _members_update(
        self, thread: Channel, added: Sequence[User] = (), removed: Sequence[User] = ()
    ) -> None:
        assert thread.guild
        guild = thread.guild

        def body(session: Session) -> dict:
            members = [
                payloads.thread_member(thread, user.id)
                | {"member": payloads.member(guild.members[user.id]), "presence": None}
                for user in added
            ]
            return {
                "id": str(thread.id),
                "guild_id": str(guild.id),
                "member_count": len(thread.members),
                "added_members": members,
                "removed_member_ids": [str(user.id) for user in removed],
            }

        for app in self.discord.apps:
            mine = app.user in added or app.user in removed
            sees = permissions(app.user, thread) & Permission.VIEW_CHANNEL
            knows = any(s.intents & 2 for s in self.discord.gateway.sessions if s.app is app)
            if mine or (sees and knows):
                self.discord.gateway.emit("THREAD_MEMBERS_UPDATE", body, guild=guild, only=app)
