"""Whom a text mentions, and whom it therefore notifies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.fakes.discord.refused import form
from tests.fakes.discord.world import (
    Channel,
    Permission,
    Role,
    User,
    permissions,
    readers,
)

ALLOWED_MAX = 100
ALL = {"parse": ["users", "roles", "everyone"], "replied_user": True}
"""For a message that says nothing about it."""
OF_ANSWERS = {"parse": ["users"]}
"""For answers to interactions, and webhooks."""


@dataclass
class Mentions:
    """What is mentioned and allowed to be."""

    users: list[User] = field(default_factory=list)
    roles: list[Role] = field(default_factory=list)
    everyone: bool = False
    """@everyone or @here."""
    here_only: bool = False


def check(allowed: dict | None) -> None:
    """Refuse what contradicts itself."""
    if not allowed:
        return
    parse = allowed.get("parse") or []
    for kind in ("users", "roles"):
        named = allowed.get(kind) or []
        if named and kind in parse:
            words = f"parse:[{kind!r}] and {kind}: [ids...] are mutually exclusive."
            raise form("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", words)
        if len(named) > ALLOWED_MAX:
            words = f"Must be {ALLOWED_MAX} or fewer in length."
            raise form(f"allowed_mentions.{kind}", "BASE_TYPE_MAX_LENGTH", words)
    if wrong := set(parse) - {"users", "roles", "everyone"}:
        raise form("allowed_mentions.parse.0", "BASE_TYPE_CHOICES", f"Not one of these: {wrong}")


def find(text: str, author: User, channel: Channel, allowed: dict) -> Mentions:
    """What the text mentions; neither a backslash nor backticks keep a mention from notifying."""
    found = Mentions()
    by_id = {user.id: user for user in readers(channel)}
    may = permissions(author, channel) if channel.guild else Permission(0)
    for number in dict.fromkeys(re.findall(r"<@!?(\d+)>", text)):
        if int(number) in by_id and _allows(allowed, "users", number):
            found.users.append(by_id[int(number)])
    roles = {each.id: each for each in channel.guild.roles[1:]} if channel.guild else {}
    for number in dict.fromkeys(re.findall(r"<@&(\d+)>", text)):
        role = roles.get(int(number))
        mentionable = role and (role.mentionable or may & Permission.MENTION_EVERYONE)
        if role and mentionable and _allows(allowed, "roles", number):
            found.roles.append(role)
    everyone = re.search(r"@everyone", text)
    if (everyone or "@here" in text) and "everyone" in (allowed.get("parse") or []):
        found.everyone = bool(may & Permission.MENTION_EVERYONE)
        found.here_only = found.everyone and not everyone
    return found


def _allows(allowed: dict, kind: str, number: str) -> bool:
    named = [str(each) for each in allowed.get(kind) or []]
    return kind in (allowed.get("parse") or []) or number in named


def pinged(found: Mentions, author: User, channel: Channel) -> list[User]:
    """The people whom this notifies."""
    reached = []
    for user in readers(channel):
        member = channel.guild.members[user.id] if channel.guild else None
        named = user in found.users or (member and set(member.roles) & set(found.roles))
        called = found.everyone and (user.online or not found.here_only)
        if user is not author and not user.bot and (named or called):
            reached.append(user)
    return reached
