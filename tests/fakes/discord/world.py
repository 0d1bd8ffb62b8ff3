"""What there is: users, guilds, roles, channels, threads, messages; and who may do what."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

EDIT_OLD_SECONDS = 3600
"""An edit of a message older than this is counted apart."""


class Permission(IntFlag):
    """The permissions that decide anything here."""

    KICK_MEMBERS = 1 << 1
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    CREATE_PUBLIC_THREADS = 1 << 35
    CREATE_PRIVATE_THREADS = 1 << 36
    SEND_MESSAGES_IN_THREADS = 1 << 38


P = Permission
EVERYTHING = Permission((1 << 50) - 1)
USUAL = (
    P.ADD_REACTIONS | P.VIEW_CHANNEL | P.SEND_MESSAGES | P.EMBED_LINKS | P.ATTACH_FILES
    | P.READ_MESSAGE_HISTORY | P.USE_APPLICATION_COMMANDS | P.CREATE_PUBLIC_THREADS
    | P.CREATE_PRIVATE_THREADS | P.SEND_MESSAGES_IN_THREADS
)  # fmt: skip
"""What everybody may in a new guild."""

TEXT, DM, FORUM, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 15, 11, 12
THREADS = {PUBLIC_THREAD, PRIVATE_THREAD}
DEFAULT, THREAD_CREATED, REPLY, CHAT_INPUT, STARTER, CONTEXT_MENU = 0, 18, 19, 20, 21, 23
SUPPRESS_EMBEDS, HAS_THREAD, EPHEMERAL, LOADING = 1 << 2, 1 << 5, 1 << 6, 1 << 7
SUPPRESS_NOTIFICATIONS, COMPONENTS_V2 = 1 << 12, 1 << 15


@dataclass(kw_only=True, eq=False)
class User:
    id: int
    name: str
    bot: bool = False
    online: bool = True
    """Whether @here reaches them."""
    refuses_dms: bool = False
    locale: str = "en-US"
    """Of their client; only interactions tell it."""


@dataclass(kw_only=True, eq=False)
class Role:
    id: int
    name: str
    permissions: int = 0
    mentionable: bool = False
    managed_by: User | None = None
    """The bot that this role came with."""


@dataclass(kw_only=True, eq=False)
class Member:
    user: User
    roles: list[Role] = field(default_factory=list)
    nick: str | None = None
    joined_at: float = 0.0


@dataclass(kw_only=True, eq=False)
class Guild:
    id: int
    name: str
    owner: User
    roles: list[Role] = field(default_factory=list)
    """The first is @everyone, whose id is the guild's."""
    members: dict[int, Member] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    """Without threads."""

    @property
    def everyone(self) -> Role:
        return self.roles[0]


@dataclass
class Overwrite:
    """What a channel adds to and takes from the permissions of a role or a member."""

    allow: int = 0
    deny: int = 0


@dataclass(kw_only=True, eq=False)
class Channel:
    """A channel, a direct message or a thread."""

    id: int
    type: int
    name: str = ""
    guild: Guild | None = None
    parent: Channel | None = None
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    recipients: list[User] = field(default_factory=list)
    owner: User | None = None
    archived: bool = False
    locked: bool = False
    invitable: bool = True
    auto_archive_minutes: int = 4320
    archive_changed_at: float = 0.0
    members: dict[int, float] = field(default_factory=dict)
    """Of a thread: when each joined."""
    messages: dict[int, Message] = field(default_factory=dict)
    sent: int = 0
    deleted: bool = False

    @property
    def is_thread(self) -> bool:
        return self.type in THREADS


@dataclass(kw_only=True, eq=False)
class Attachment:
    id: int
    name: str
    data: bytes
    content_type: str = "application/octet-stream"
    description: str | None = None


@dataclass(kw_only=True, eq=False)
class Message:
    id: int
    channel: Channel
    author: User
    texts: list[str]
    """All it ever said; the last is what it says."""
    type: int = DEFAULT
    flags: int = 0
    nonce: str | int | None = None
    reference: Message | None = None
    referenced: tuple[int, int] | None = None
    """Channel and message that it refers to; these may be deleted."""
    embeds: list[dict] = field(default_factory=list)
    components: list[dict] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    reactions: dict[str, dict[int, User]] = field(default_factory=dict)
    allowed: dict | None = None
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[Role] = field(default_factory=list)
    mention_everyone: bool = False
    thread: Channel | None = None
    webhook: bool = False
    interaction: dict | None = None
    seen_by: User | None = None
    """Of an ephemeral one."""
    edited_at: float | None = None
    edits: int = 0
    deleted: bool = False

    @property
    def text(self) -> str:
        return self.texts[-1]

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)


def permissions(user: User, channel: Channel) -> Permission:
    """What a user may in a channel; nothing where they can't see it."""
    if channel.guild is None:
        is_there = any(one is user for one in channel.recipients)
        return USUAL if is_there else Permission(0)
    member = channel.guild.members.get(user.id)
    if member is None:
        return Permission(0)
    place = channel.parent or channel
    may = _in_channel(member, channel.guild, place)
    if not may & P.VIEW_CHANNEL:
        return Permission(0)
    hidden = channel.type == PRIVATE_THREAD and user.id not in channel.members
    return Permission(0) if hidden and not may & P.MANAGE_THREADS else may


def _in_channel(member: Member, guild: Guild, channel: Channel) -> Permission:
    may = guild.everyone.permissions
    for role in member.roles:
        may |= role.permissions
    if member.user is guild.owner or may & P.ADMINISTRATOR:
        return EVERYTHING
    of_roles = [channel.overwrites.get(role.id, Overwrite()) for role in member.roles]
    allow = deny = 0
    for overwrite in of_roles:
        allow, deny = allow | overwrite.allow, deny | overwrite.deny
    everyone = channel.overwrites.get(guild.id, Overwrite())
    own = channel.overwrites.get(member.user.id, Overwrite())
    for overwrite in (everyone, Overwrite(allow, deny), own):
        may = may & ~overwrite.deny | overwrite.allow
    return Permission(may)


def readers(channel: Channel) -> list[User]:
    """Everybody who can see a channel."""
    if channel.guild is None:
        return list(channel.recipients)
    everybody = [member.user for member in channel.guild.members.values()]
    return [user for user in everybody if permissions(user, channel) & P.VIEW_CHANNEL]
