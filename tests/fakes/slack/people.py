"""People: what they are, what they do, what they see."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.slack import blocks as block_rules
from tests.fakes.slack.eyes import Seen, buttons, channel_seen_by, menus, thread_seen_by
from tests.fakes.slack.installed import Install
from tests.fakes.slack.interactions import Interaction
from tests.fakes.slack.messages import Notification
from tests.fakes.slack.methods_files import new_file
from tests.fakes.slack.world import Channel, File, Message, Workspace

if TYPE_CHECKING:
    from tests.fakes.slack.server import FakeSlack


class NotAllowed(Exception):
    """Slack would not let this person do that."""


@dataclass(kw_only=True, eq=False)
class Person:
    slack: FakeSlack
    team: Workspace
    id: str
    name: str
    real_name: str = ""
    email: str = ""
    tz: str = "Europe/Berlin"
    locale: str = "en-US"
    is_admin: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    """A guest of some channels."""
    is_ultra_restricted: bool = False
    """A guest of one channel."""
    is_active: bool = True
    deleted: bool = False
    bot_id: str | None = None
    app_id: str | None = None
    notifications: list[Notification] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What the client complained of after clicks and commands."""
    modals: list[dict[str, Any]] = field(default_factory=list)

    @property
    def mention(self) -> str:
        return f"<@{self.id}>"

    def payload(self, viewer: Workspace, email: bool = False) -> dict[str, Any]:
        """How the API of a workspace shows this person."""
        real_name = self.real_name or self.name
        profile: dict[str, Any] = {"real_name": real_name, "display_name": self.name}
        profile |= {"team": self.team.id, "image_48": "https://a.example/48.png"}
        if self.bot_id:
            profile |= {"bot_id": self.bot_id, "api_app_id": self.app_id or ""}
        if email and not self.is_bot and self.team is viewer:
            profile["email"] = self.email or f"{self.name}@{self.team.name}.example"
        shown: dict[str, Any] = {"id": self.id, "team_id": self.team.id, "name": self.name}
        shown["profile"] = profile
        shown |= {"deleted": self.deleted, "real_name": real_name, "tz": self.tz}
        shown |= {"is_bot": self.is_bot, "is_app_user": False, "updated": 1}
        if self.team is not viewer:
            return shown | {"is_stranger": True}
        return shown | {
            "is_admin": self.is_admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": self.is_restricted or self.is_ultra_restricted,
            "is_ultra_restricted": self.is_ultra_restricted,
        }

    def says(
        self,
        channel: Channel,
        text: str,
        *,
        thread: Message | str | None = None,
        broadcast: bool = False,
        files: tuple[File, ...] = (),
    ) -> Message:
        """Write in a channel, or in the thread of a message.

        :param text: as it goes over the wire; `mrkdwn.typed` makes it of what is typed
        """
        self._may_write(channel)
        message = Message(
            channel=channel,
            ts=self.slack.stamps.ts(),
            author=self,
            text=text,
            thread_ts=thread.place if isinstance(thread, Message) else thread,
            files=list(files),
        )
        message.client_msg_id = None if self.is_bot else str(uuid.uuid4())
        if self.is_bot:
            message.subtype = "bot_message"
        elif broadcast and thread is not None:
            message.subtype = "thread_broadcast"
        elif files:
            message.subtype = "file_share"
        return self.slack.messages.post(message)

    def edits(self, message: Message, text: str) -> None:
        if message.author is not self:
            raise NotAllowed("one edits one's own messages only")
        self.slack.messages.edit(message, self, {"text": text})

    def deletes(self, message: Message) -> None:
        if message.author is not self and not self.is_admin:
            raise NotAllowed("one deletes one's own messages only")
        self.slack.messages.delete(message)

    def reacts(self, message: Message, emoji: str) -> None:
        if not self.slack.messages.react(message, self, emoji):
            raise NotAllowed("already_reacted")

    def unreacts(self, message: Message, emoji: str) -> None:
        if not self.slack.messages.unreact(message, self, emoji):
            raise NotAllowed("no_reaction")

    def uploads(
        self,
        channel: Channel,
        name: str,
        data: bytes,
        text: str = "",
        *,
        thread: Message | str | None = None,
    ) -> Message:
        """Write something with a file."""
        file = new_file(self.slack, self, name, data)
        return self.says(channel, text, thread=thread, files=(file,))

    def commands(self, channel: Channel, command: str, text: str = "") -> Interaction:
        """Use a slash command; there are none in threads."""
        self._may_write(channel)
        if not any("commands" in one.scopes for one in self._installs(channel)):
            raise NotAllowed(f"{command} is not a valid command")
        return self.slack.interactions.command(self, channel, command, text)

    def shortcuts(self, message: Message, callback_id: str) -> Interaction:
        """Pick a shortcut of the app from the menu of a message."""
        self._may_write(message.channel)
        return self.slack.interactions.shortcut(self, message, callback_id)

    def clicks(self, where: Message | dict[str, Any], button: str) -> Interaction:
        """Click a button that is there, by its label or its action.

        :param where: a message, or a view (`home` or one of `modals`)
        """
        blocks = where.blocks if isinstance(where, Message) else where["blocks"]
        for block, each in buttons(blocks):
            if button in (each["action_id"], each["text"]["text"]):
                return self.slack.interactions.click(self, where, each, block)
        raise NotAllowed(f"there is no button {button!r}")

    async def types(self, view: dict[str, Any], menu: str, words: str) -> list[str]:
        """What a menu of a view offers, by its label, to who types these words."""
        return [one["value"] for one in await self._offered(view, menu, words)]

    async def picks(self, view: dict[str, Any], menu: str, words: str) -> Interaction:
        """Type these words in a menu of a view, and choose the first that it offers."""
        block, each = self._menu(view, menu)
        option = (await self._offered(view, menu, words))[0]
        chosen = {name: each[name] for name in ("type", "action_id", "placeholder")}
        return self.slack.interactions.click(
            self, view, chosen | {"selected_option": option}, block
        )

    def _menu(self, view: dict[str, Any], label: str) -> tuple[str, dict[str, Any]]:
        for block, each in menus(view["blocks"]):
            if each["placeholder"]["text"] == label:
                return block, each
        raise NotAllowed(f"there is no menu {label!r}")

    async def _offered(self, view: dict[str, Any], menu: str, words: str) -> list[dict[str, Any]]:
        block, each = self._menu(view, menu)
        if len(words) < each.get("min_query_length", 3):
            return []
        asked = self.slack.interactions.suggest(self, view, each, block, words)
        found = block_rules.options(await asked.answer())
        if found is None:
            raise NotAllowed("the options could not be loaded")
        return found

    def submits(self, view: dict[str, Any], values: dict[str, Any]) -> Interaction:
        """Submit a modal with these values, by block and action."""
        self.modals.remove(view)
        return self.slack.interactions.submit(self, view, values)

    def opens_home(self, tab: str = "home") -> None:
        install = self.team.install
        assert install
        channel = self.slack.direct(self, install.user)
        event: dict[str, Any] = {"type": "app_home_opened", "user": self.id, "tab": tab}
        event["channel"] = channel.id
        if self.home is not None and tab == "home":
            event["view"] = self.home
        self.slack.events.tell_install(event, install)

    @property
    def home(self) -> dict[str, Any] | None:
        """What the app published for this person."""
        return self.team.homes.get(self.id)

    def stops(self, channel: Channel, thread: Message | str) -> None:
        """Press the stop button that a working agent has in its thread."""
        thread_ts = thread.place if isinstance(thread, Message) else thread
        session = self.slack.sessions.get((channel.id, thread_ts))
        if session is None or session.status != "processing":
            raise NotAllowed("there is no stop button")
        if "agent_session_stopped" not in self.slack.app.subscriptions:
            raise NotAllowed("there is only a loading indicator")
        event: dict[str, Any] = {"type": "agent_session_stopped", "user": self.id}
        event |= {"channel": channel.id, "thread_ts": thread_ts, "streaming_message_ts": []}
        self.slack.events.tell(event, channel)

    def renames_session(self, channel: Channel, thread: Message | str, title: str) -> None:
        """Give the agent's session in a thread another title."""
        thread_ts = thread.place if isinstance(thread, Message) else thread
        session = self.slack.sessions.get((channel.id, thread_ts))
        if session is None:
            raise NotAllowed("there is no session")
        event: dict[str, Any] = {"type": "agent_session_title_changed", "user": self.id}
        event |= {"channel": channel.id, "thread_ts": thread_ts, "title": title}
        event |= {"team_id": self.team.id}
        if session.title:
            event["previous_title"] = session.title
        session.title = title
        self.slack.events.tell(event, channel)

    def invites(self, channel: Channel, person: Person) -> None:
        self._may_write(channel)
        if person in channel.members:
            raise NotAllowed("already_in_channel")
        self.slack.joins(channel, person, self)

    def kicks(self, channel: Channel, person: Person) -> None:
        self._may_write(channel)
        self.slack.leaves(channel, person, self)

    def archives(self, channel: Channel) -> None:
        self._may_write(channel)
        self.slack.notes(channel, self, "channel_archive", "archived the channel")
        channel.archived = True
        self._says_of(channel, "archive")

    def unarchives(self, channel: Channel) -> None:
        channel.archived = False
        self._says_of(channel, "unarchive")

    def sees(self, channel: Channel, thread: Message | str | None = None) -> list[Seen]:
        """What is on the screen: a channel, or one of its threads."""
        outside = self.is_restricted or self.is_ultra_restricted or self.team not in channel.teams
        if self not in channel.members and (outside or channel.kind != "channel"):
            raise NotAllowed("not in the channel")
        if thread is None:
            return channel_seen_by(self, channel)
        ts = thread.place if isinstance(thread, Message) else thread
        return thread_seen_by(self, channel, ts)

    def reads(self, channel: Channel, thread: Message | str | None = None) -> list[str]:
        """The texts on the screen."""
        return [seen.text for seen in self.sees(channel, thread)]

    def reloads(self) -> None:
        """Open the client anew: what only this person could see is gone."""
        for channel in self.team.channels:
            for message in channel.messages:
                message.deleted |= message.only_for is self

    def _says_of(self, channel: Channel, what: str) -> None:
        kind = "group" if channel.kind == "group" else "channel"
        event = {"type": f"{kind}_{what}", "channel": channel.id, "user": self.id}
        self.slack.events.tell(event, channel)
        self.slack.changed()

    def _installs(self, channel: Channel) -> list[Install]:
        return [team.install for team in channel.teams if team.install]

    def direct(self, *others: Person) -> Channel:
        """The direct messages with somebody."""
        return self.slack.direct(self, *others)

    def _may_write(self, channel: Channel) -> None:
        if channel.archived:
            raise NotAllowed("the channel is archived")
        if self not in channel.members:
            raise NotAllowed("not in the channel")
