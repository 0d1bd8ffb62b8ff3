"""People, and what they do in their clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tests.fakes.discord import payloads
from tests.fakes.discord.app import App
from tests.fakes.discord.markdown import shown
from tests.fakes.discord.messages import Draft
from tests.fakes.discord.refused import Refused, missing_access, missing_permissions
from tests.fakes.discord.world import (
    DM,
    FORUM,
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    Channel,
    Guild,
    Message,
    Overwrite,
    Permission,
    User,
    permissions,
)

if TYPE_CHECKING:
    from tests.fakes.discord.interactions import Interaction
    from tests.fakes.discord.server import FakeDiscord

PERSON_TEXT_LENGTH_MAX = 2_000


class Person:
    """Somebody with a client; also a bot or a webhook that is not ours."""

    def __init__(self, discord: FakeDiscord, user: User) -> None:
        self.discord = discord
        self.user = user

    @property
    def id(self) -> int:
        return self.user.id

    @property
    def mention(self) -> str:
        return f"<@{self.user.id}>"

    def direct(self, other: Person | App) -> Channel:
        """The direct messages with somebody."""
        return self.discord.direct(self.user, other.user)

    def says(
        self,
        channel: Channel,
        text: str,
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        files: Mapping[str, bytes] | None = None,
        webhook: bool = False,
    ) -> Message:
        """Post in a channel; a reply notifies its author if `ping`."""
        self._may(channel, self._send(channel))
        assert len(text) <= PERSON_TEXT_LENGTH_MAX, "the client would not send this"
        allowed = {"parse": ["users", "roles", "everyone"], "replied_user": ping}
        draft = Draft(
            text=text,
            reply_to=reply_to,
            attachments=self.discord.rest.attach(files or {}),
            allowed=allowed,
            webhook=webhook,
        )
        return self.discord.messages.post(channel, self.user, draft)

    def edits(self, message: Message, text: str) -> Message:
        if message.author is not self.user:
            raise Refused(403, 50005, "Cannot edit a message authored by another user")
        if message.channel.archived:
            raise Refused(400, 50083, "Thread is archived")
        return self.discord.messages.edit(message, text=text)

    def deletes(self, message: Message) -> None:
        if message.author is not self.user:
            self._may(message.channel, Permission.MANAGE_MESSAGES)
        self.discord.messages.delete(message)

    def purges(self, *messages: Message) -> None:
        """Delete what others wrote, all at once, as moderators' tools do."""
        self._may(messages[0].channel, Permission.MANAGE_MESSAGES)
        self.discord.messages.purge(messages)

    def reacts(self, message: Message, emoji: str) -> None:
        self._may(message.channel, Permission.ADD_REACTIONS)
        self.discord.messages.react(message, self.user, emoji)

    def unreacts(self, message: Message, emoji: str) -> None:
        self.discord.messages.unreact(message, self.user, emoji)

    def opens_thread(
        self,
        where: Channel | Message,
        name: str,
        *,
        private: bool = False,
        says: str | None = None,
    ) -> Channel:
        """Open a thread at a message or in a channel; in a forum it needs a first message."""
        things = self.discord.thread_things
        if isinstance(where, Message):
            self._may(where.channel, Permission.CREATE_PUBLIC_THREADS)
            thread = things.open_from(where, self.user, name)
        else:
            may = Permission.CREATE_PRIVATE_THREADS if private else Permission.CREATE_PUBLIC_THREADS
            self._may(where, may)
            type = PRIVATE_THREAD if private else PUBLIC_THREAD
            number = self.discord.clock.snowflake() if where.type == FORUM else None
            if number is not None:
                thread = things.open(where, self.user, name, number=number)
            else:
                thread = things.open_without(where, self.user, name, type=type)
        if says is not None:
            self.says(thread, says)
        return thread

    def adds_to(self, thread: Channel, *users: Person | App) -> None:
        self.discord.thread_things.join(thread, [each.user for each in users])

    def archives(self, thread: Channel, *, locked: bool = False) -> None:
        """Archive a thread; lock it too."""
        changes = {"archived": True, **({"locked": True} if locked else {})}
        self.discord.thread_things.change(thread, changes)

    def unarchives(self, thread: Channel) -> None:
        self.discord.thread_things.change(thread, {"archived": False})

    def locks(self, thread: Channel) -> None:
        self.discord.thread_things.change(thread, {"locked": True})

    def renames(self, channel: Channel, name: str) -> None:
        self.discord.thread_things.change(channel, {"name": name})

    def deletes_channel(self, channel: Channel) -> None:
        """Delete a channel or a thread with all that is in it."""
        self.discord.thread_things.delete(channel)

    def leaves_thread(self, thread: Channel) -> None:
        self.discord.thread_things.leave(thread, self.user)

    def leaves(self, guild: Guild) -> None:
        self._out(guild, self.user)

    def kicks(self, app: App, guild: Guild) -> None:
        """Remove the bot; it is told by GUILD_DELETE."""
        self.discord.gateway.emit("GUILD_DELETE", {"id": str(guild.id)}, guild=guild, only=app)
        self._out(guild, app.user)
        guild.roles[:] = [role for role in guild.roles if role.managed_by is not app.user]

    def _out(self, guild: Guild, user: User) -> None:
        del guild.members[user.id]
        body = {"guild_id": str(guild.id), "user": payloads.user(user)}
        self.discord.gateway.emit("GUILD_MEMBER_REMOVE", body, guild=guild)

    def hides(self, channel: Channel, *from_whom: Person | App) -> None:
        """Take away the sight of a channel from everybody, or from these; they see it go."""
        targets = [each.user.id for each in from_whom] or [channel.guild.id]  # type: ignore[union-attr]
        apps = self.discord.apps
        saw = [app for app in apps if permissions(app.user, channel)]
        for target in targets:
            channel.overwrites[target] = Overwrite(deny=int(Permission.VIEW_CHANNEL))
        body = payloads.channel(channel)
        for app in saw:
            if not permissions(app.user, channel):
                self.discord.gateway.emit("CHANNEL_DELETE", body, guild=channel.guild, only=app)
        self.discord.thread_things.tell("CHANNEL_UPDATE", channel)

    def slash(
        self, app: App, command: str, where: Channel, **options: str | float | bool
    ) -> Interaction:
        """Run a slash command (`ona`, or `ona ask` with its subcommand)."""
        return self.discord.interactions.slash(self.user, app, command, where, options)

    def types(
        self, app: App, command: str, where: Channel, focused: str, text: str, **options: str
    ) -> Interaction:
        """Type in an option of a slash command; the answer's `choices` are what is offered."""
        given = {**options, focused: text}
        return self.discord.interactions.slash(
            self.user, app, command, where, given, focused=focused
        )

    def uses(self, app: App, command: str, message: Message) -> Interaction:
        """Run a command from a message's menu."""
        return self.discord.interactions.on_message(self.user, app, command, message)

    def clicks(self, message: Message, what: str, values: Sequence[str] = ()) -> Interaction:
        """Click a button, or choose `values`, by its label or custom id."""
        return self.discord.interactions.click(self.user, message, what, values)

    def submits(self, interaction: Interaction, **values: str) -> Interaction:
        """Fill in the form that an interaction showed, by custom ids."""
        return self.discord.interactions.submit(self.user, interaction, values)

    def sees(self, channel: Channel) -> list[Message]:
        """The messages of a channel as this person finds them, oldest first."""
        return self.discord.messages.seen(channel, self.user)

    def texts(self, channel: Channel) -> list[str]:
        """What is written there, as the client shows it."""
        return [shown(message.text).text for message in self.sees(channel)]

    @property
    def notified(self) -> list[Message]:
        """The messages for which this person's client made a sound."""
        mine = [each for each in self.discord.notifications if each.person is self.user]
        return [each.message for each in mine]

    def _send(self, channel: Channel) -> Permission:
        threads = Permission.SEND_MESSAGES_IN_THREADS
        return threads if channel.is_thread else Permission.SEND_MESSAGES

    def _may(self, channel: Channel, needed: Permission) -> None:
        may = permissions(self.user, channel)
        if channel.type == DM and may:
            return
        if not may & Permission.VIEW_CHANNEL:
            raise missing_access()
        if not may & needed:
            raise missing_permissions()
