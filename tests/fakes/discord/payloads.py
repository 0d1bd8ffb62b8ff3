"""How things look on the wire."""

from __future__ import annotations

from tests.fakes.discord.clock import iso, made_at
from tests.fakes.discord.world import (
    DM,
    FORUM,
    PRIVATE_THREAD,
    REPLY,
    STARTER,
    Attachment,
    Channel,
    Guild,
    Member,
    Message,
    Role,
    User,
    permissions,
)

HIDDEN = ("embeds", "attachments", "components")
"""Besides the content: what an app without the Message Content intent does not get."""
THREAD_MEMBERS_COUNTED_MAX = 50
FORUM_MORE: dict = {
    "available_tags": [],
    "default_reaction_emoji": None,
    "default_sort_order": None,
}


def user(one: User) -> dict:
    return {
        "id": str(one.id),
        "username": one.name,
        "global_name": None if one.bot else one.name.title(),
        "discriminator": "0",
        "avatar": None,
        "bot": one.bot,
        "public_flags": 0,
    }


def role(one: Role) -> dict:
    more = {"tags": {"bot_id": str(one.managed_by.id)}} if one.managed_by else {}
    return {
        "id": str(one.id),
        "name": one.name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "position": 0,
        "permissions": str(int(one.permissions)),
        "managed": one.managed_by is not None,
        "mentionable": one.mentionable,
        "flags": 0,
        **more,
    }


def member(one: Member, *, with_user: bool = True) -> dict:
    body = {
        "nick": one.nick,
        "avatar": None,
        "roles": [str(each.id) for each in one.roles],
        "joined_at": iso(one.joined_at),
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }
    return {**body, "user": user(one.user)} if with_user else body


def channel(one: Channel, viewer: User | None = None) -> dict:
    """A channel or thread as `viewer` gets it."""
    last = max(one.messages, default=None)
    body: dict = {
        "id": str(one.id),
        "type": one.type,
        "last_message_id": str(last) if last else None,
        "flags": 0,
    }
    if one.type == DM:
        others = [user(each) for each in one.recipients if each is not viewer]
        return {**body, "recipients": others}
    assert one.guild
    body |= {"guild_id": str(one.guild.id), "name": one.name, "rate_limit_per_user": 0}
    if one.is_thread:
        return body | _thread(one, viewer)
    body |= {
        "parent_id": None,
        "position": 0,
        "nsfw": False,
        "topic": None,
        "permission_overwrites": _overwrites(one, one.guild),
    }
    return body | FORUM_MORE if one.type == FORUM else body


def _overwrites(one: Channel, guild: Guild) -> list[dict]:
    roles = {each.id for each in guild.roles}
    return [
        {
            "id": str(target),
            "type": 0 if target in roles else 1,
            "allow": str(int(overwrite.allow)),
            "deny": str(int(overwrite.deny)),
        }
        for target, overwrite in one.overwrites.items()
    ]


def _thread(one: Channel, viewer: User | None) -> dict:
    assert one.parent
    assert one.owner
    metadata = {
        "archived": one.archived,
        "archive_timestamp": iso(one.archive_changed_at),
        "auto_archive_duration": one.auto_archive_minutes,
        "locked": one.locked,
        "create_timestamp": iso(made_at(one.id)),
    }
    if one.type == PRIVATE_THREAD:
        metadata["invitable"] = one.invitable
    body = {
        "parent_id": str(one.parent.id),
        "owner_id": str(one.owner.id),
        "message_count": len(one.messages),
        "member_count": min(len(one.members), THREAD_MEMBERS_COUNTED_MAX),
        "total_message_sent": one.sent,
        "thread_metadata": metadata,
    }
    if viewer and viewer.id in one.members:
        body["member"] = thread_member(one, viewer.id)
    return body


def thread_member(thread: Channel, user_id: int) -> dict:
    return {
        "id": str(thread.id),
        "user_id": str(user_id),
        "join_timestamp": iso(thread.members[user_id]),
        "flags": 0,
    }


def guild(one: Guild) -> dict:
    """The part that REST and the gateway share."""
    return {
        "id": str(one.id),
        "name": one.name,
        "icon": None,
        "splash": None,
        "owner_id": str(one.owner.id),
        "roles": [role(each) for each in one.roles],
        "emojis": [],
        "stickers": [],
        "features": [],
        "verification_level": 0,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "afk_timeout": 300,
        "preferred_locale": "en-US",
    }


def guild_created(one: Guild, viewer: User, threads: list[Channel], *, whole: bool) -> dict:
    """The guild that GUILD_CREATE brings; with all members if the app may know them."""
    known = [each for each in one.members.values() if whole or each.user is viewer]
    visible = [each for each in one.channels.values() if permissions(viewer, each)]
    return {
        **guild(one),
        "joined_at": iso(one.members[viewer.id].joined_at),
        "large": False,
        "unavailable": False,
        "member_count": len(one.members),
        "members": [member(each) for each in known],
        "channels": [channel(each, viewer) for each in visible],
        "threads": [channel(each, viewer) for each in threads],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def emoji(key: str) -> dict:
    name, _, number = key.partition(":")
    return {"id": number or None, "name": name}


def attachment(one: Attachment, message: Message, url: str) -> dict:
    place = f"{url}/attachments/{message.channel.id}/{one.id}/{one.name}"
    return {
        "id": str(one.id),
        "filename": one.name,
        "size": len(one.data),
        "url": place,
        "proxy_url": place,
        "content_type": one.content_type,
        "ephemeral": message.ephemeral,
        **({"description": one.description} if one.description else {}),
    }


def message(one: Message, viewer: User, url: str, *, content: bool) -> dict:
    """A message as REST gives it to the app `viewer`, who may know contents or not."""
    body = {
        "id": str(one.id),
        "channel_id": str(one.channel.id),
        "author": user(one.author),
        "type": one.type,
        "content": one.text,
        "timestamp": iso(made_at(one.id)),
        "edited_timestamp": iso(one.edited_at) if one.edited_at else None,
        "tts": False,
        "pinned": False,
        "flags": one.flags,
        "mention_everyone": one.mention_everyone,
        "mentions": [user(each) for each in one.mentions],
        "mention_roles": [str(each.id) for each in one.mention_roles],
        "attachments": [attachment(each, one, url) for each in one.attachments],
        "embeds": one.embeds,
        "components": one.components,
    }
    if not (content or _may_know(one, viewer)):
        body |= {"content": "", **{name: [] for name in HIDDEN}}
    return body | _more(one, viewer, url, content=content)


def _may_know(one: Message, viewer: User) -> bool:
    mine = one.author is viewer or viewer in one.mentions
    return mine or one.channel.guild is None


def _more(one: Message, viewer: User, url: str, *, content: bool) -> dict:
    body: dict = {}
    if one.reactions:
        body["reactions"] = [
            {
                "count": len(users),
                "count_details": {"burst": 0, "normal": len(users)},
                "me": viewer.id in users,
                "me_burst": False,
                "burst_colors": [],
                "emoji": emoji(key),
            }
            for key, users in one.reactions.items()
        ]
    if one.webhook:
        body["webhook_id"] = str(one.author.id)
    if one.interaction:
        body["interaction_metadata"] = one.interaction
    if one.thread:
        body["thread"] = channel(one.thread, viewer)
    if one.referenced:
        place, number = one.referenced
        body["message_reference"] = {"type": 0, "channel_id": str(place), "message_id": str(number)}
        if one.channel.guild:
            body["message_reference"]["guild_id"] = str(one.channel.guild.id)
    if one.type in (REPLY, STARTER):
        there = one.reference if one.reference and not one.reference.deleted else None
        body["referenced_message"] = there and _shallow(there, viewer, url, content=content)
    return body


def _shallow(one: Message, viewer: User, url: str, *, content: bool) -> dict:
    """Only one level: what a referenced message refers to is left out."""
    body = message(one, viewer, url, content=content)
    body.pop("referenced_message", None)
    return body
