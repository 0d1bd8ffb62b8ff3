"""What a Slack is made of: workspaces, channels, messages, files. Nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.fakes.slack.installed import Install
from tests.fakes.slack.mrkdwn import rich_text

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack

Kind = Literal["channel", "group", "im", "mpim"]
KIND_SCOPES: dict[Kind, str] = {
    "channel": "channels",
    "group": "groups",
    "im": "im",
    "mpim": "mpim",
}
"""How the scopes of a kind of conversation begin."""


@dataclass(kw_only=True, eq=False)
class File:
    id: str
    name: str
    title: str
    owner: Person
    data: bytes | None = None
    mimetype: str = "text/plain"
    size: int = 0
    channels: list[Channel] = field(default_factory=list)
    deleted: bool = False
    base_url: str = ""

    @property
    def permalink(self) -> str:
        return f"https://example.slack.com/files/{self.owner.id}/{self.id}/{self.name.lower()}"

    def payload(self) -> dict[str, Any]:
        suffix = self.name.rpartition(".")[2]
        return {
            "id": self.id,
            "created": 1,
            "timestamp": 1,
            "name": self.name,
            "title": self.title,
            "mimetype": self.mimetype,
            "filetype": suffix,
            "user": self.owner.id,
            "user_team": self.owner.team.id,
            "size": self.size,
            "mode": "hosted",
            "is_external": False,
            "is_public": False,
            "permalink": self.permalink,
            "url_private": f"{self.base_url}/files-pri/{self.id}/{self.name}",
            "url_private_download": f"{self.base_url}/files-pri/{self.id}/download/{self.name}",
            "channels": [channel.id for channel in self.channels if channel.kind == "channel"],
            "groups": [channel.id for channel in self.channels if channel.kind == "group"],
            "ims": [channel.id for channel in self.channels if channel.kind == "im"],
            "file_access": "visible",
        }


@dataclass(kw_only=True, eq=False)
class Message:
    channel: Channel
    ts: str
    author: Person
    text: str
    blocks: list[dict[str, Any]] | None = None
    attachments: list[dict[str, Any]] | None = None
    thread_ts: str | None = None
    metadata: dict[str, Any] | None = None
    files: list[File] = field(default_factory=list)
    subtype: str | None = None
    edited: dict[str, str] | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    """Each emoji with the ids of who reacted, in that order."""
    install: Install | None = None
    """Set when the app wrote it."""
    client_msg_id: str | None = None
    username: str | None = None
    only_for: Person | None = None
    """Set when it is ephemeral."""
    deleted: bool = False
    texts: list[str] = field(default_factory=list)
    """Every text it ever had."""
    unfurl: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The root of the thread it is in, or would open."""
        return self.thread_ts or self.ts

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    def payload(self, *, metadata: bool | None = None) -> dict[str, Any]:
        """How the API shows it.

        :param metadata: all of it, or only its type; None: as the author sees it, all
        """
        shown: dict[str, Any] = {"type": "message", "user": self.author.id, "text": self.text}
        shown |= {"ts": self.ts, "team": self.author.team.id}
        if self.install:
            shown |= {"bot_id": self.install.bot_id, "app_id": self.install.app.id}
            shown["bot_profile"] = self.install.profile()
        elif self.author.bot_id:
            shown["bot_id"] = self.author.bot_id
        for name in ("client_msg_id", "subtype", "blocks", "attachments", "edited", "thread_ts"):
            if (value := getattr(self, name)) is not None:
                shown[name] = value
        if self.client_msg_id and self.text and not self.blocks:
            shown["blocks"] = [rich_text(self.text)]
        if self.username:
            shown["username"] = self.username
        if self.files:
            shown |= {"files": [file.payload() for file in self.files], "upload": True}
        if self.metadata is not None:
            only_type = {"event_type": self.metadata["event_type"]}
            shown["metadata"] = only_type if metadata is False else self.metadata
        if self.reactions:
            shown["reactions"] = [
                {"name": name, "users": list(users), "count": len(users)}
                for name, users in self.reactions.items()
            ]
        return shown | self._thread()

    def _thread(self) -> dict[str, Any]:
        if self.only_for is not None:
            return {"is_ephemeral": True}
        if self.is_reply:
            root = self.channel.find(self.place)
            return {"parent_user_id": root.author.id} if root else {}
        replies = [reply for reply in self.channel.thread(self.ts) if reply is not self]
        if not replies:
            return {}
        who = list(dict.fromkeys(reply.author.id for reply in replies))
        return {
            "thread_ts": self.ts,
            "reply_count": len(replies),
            "reply_users_count": len(who),
            "reply_users": who,
            "latest_reply": replies[-1].ts,
            "is_locked": False,
            "subscribed": False,
        }


@dataclass(kw_only=True, eq=False)
class Channel:
    id: str
    name: str
    kind: Kind
    team: Workspace
    members: list[Person] = field(default_factory=list)
    archived: bool = False
    shared_with: list[Workspace] = field(default_factory=list)
    pending_with: list[Workspace] = field(default_factory=list)
    """Invited, and did not accept yet."""
    messages: list[Message] = field(default_factory=list)
    creator: Person | None = None

    @property
    def is_ext_shared(self) -> bool:
        return bool(self.shared_with)

    @property
    def teams(self) -> list[Workspace]:
        return [self.team, *self.shared_with]

    def find(self, ts: str) -> Message | None:
        """The message that everybody can see at `ts`."""
        return next((m for m in self.messages if m.ts == ts and not m.deleted), None)

    def thread(self, ts: str) -> list[Message]:
        """The root, if it is there, and its replies."""
        return [m for m in self.public() if ts in (m.ts, m.thread_ts)]

    def public(self) -> list[Message]:
        return [m for m in self.messages if m.only_for is None and not m.deleted]

    def payload(self, viewer: Person) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": self.id, "created": 1, "is_archived": self.archived}
        shown |= {f"is_{kind}": kind == self.kind for kind in KIND_SCOPES}
        shown |= {"is_private": self.kind != "channel", "is_member": viewer in self.members}
        shown |= {"is_org_shared": False, "context_team_id": viewer.team.id, "updated": 1}
        if self.kind == "im":
            other = next((member for member in self.members if member is not viewer), viewer)
            return shown | {"user": other.id}
        connected = [team.id for team in self.teams if team is not viewer.team]
        return shown | {
            "name": self.name,
            "name_normalized": self.name,
            "creator": self.creator.id if self.creator else "",
            "is_general": False,
            "is_shared": self.is_ext_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_pending_ext_shared": bool(self.pending_with),
            "pending_shared": [team.id for team in self.pending_with],
            "shared_team_ids": [team.id for team in self.teams],
            "connected_team_ids": connected if self.is_ext_shared else [],
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }


@dataclass(kw_only=True, eq=False)
class Workspace:
    slack: FakeSlack
    id: str
    name: str
    enterprise_id: str | None = None
    people: list[Person] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    groups: dict[str, list[Person]] = field(default_factory=dict)
    """User groups by their id."""
    install: Install | None = None
    edit_window_seconds: float | None = None
    """How long a message may be edited, where the workspace limits it."""
    has_agent_sessions: bool = True
    homes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The published App Home of each person."""

    def sees(self, person: Person) -> bool:
        """Whether somebody is of this workspace or shares a channel with it."""
        return person.team is self or any(person in channel.members for channel in self.channels)
