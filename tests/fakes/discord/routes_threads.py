"""Routes of threads: opened, joined, left, listed."""

from __future__ import annotations

from tests.fakes.discord import payloads, refused
from tests.fakes.discord.messages import Draft
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.rest import Asked, route
from tests.fakes.discord.routes_messages import (
    MESSAGE,
    channel_of,
    check_body,
    draft_of,
    message_of,
)
from tests.fakes.discord.routes_rest import CHANNEL, GUILD, guild_of
from tests.fakes.discord.world import (
    FORUM,
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    TEXT,
    THREADS,
    Channel,
    Permission,
    permissions,
)

P = Permission


@route(f"POST {MESSAGE}/threads")
def open_from(asked: Asked) -> dict:
    parent = channel_of(asked, P.CREATE_PUBLIC_THREADS)
    if parent.type != TEXT:
        raise Refused(400, 50024, "Cannot execute action on this channel type")
    message = message_of(asked, parent)
    more = _minutes(asked)
    thread = asked.discord.thread_things.open_from(
        message, asked.me.user, asked.body["name"], **more
    )
    return payloads.channel(thread, asked.me.user)


def _minutes(asked: Asked) -> dict[str, int]:
    value = asked.body.get("auto_archive_duration")
    return {"auto_archive_minutes": value} if value else {}


@route(f"POST {CHANNEL}/threads")
def open_without(asked: Asked) -> dict:
    parent = channel_of(asked)
    if parent.type == FORUM:
        return _open_post(asked, parent)
    type = asked.body.get("type", PRIVATE_THREAD)
    if type not in THREADS or parent.type != TEXT:
        raise Refused(400, 50024, "Cannot execute action on this channel type")
    needed = P.CREATE_PUBLIC_THREADS if type == PUBLIC_THREAD else P.CREATE_PRIVATE_THREADS
    channel_of(asked, needed)
    thread = asked.discord.thread_things.open_without(
        parent, asked.me.user, asked.body["name"], type=type, **_minutes(asked)
    )
    return payloads.channel(thread, asked.me.user)


def _open_post(asked: Asked, parent: Channel) -> dict:
    channel_of(asked, P.SEND_MESSAGES)
    said = asked.body.get("message") or {}
    check_body(said)
    draft: Draft = draft_of(asked, said)
    thread = asked.discord.thread_things.open(parent, asked.me.user, asked.body["name"])
    message = asked.discord.messages.post(thread, asked.me.user, draft)
    body = payloads.channel(thread, asked.me.user)
    return body | {"message": asked.discord.rest.message(message, asked.me)}


@route(f"GET {CHANNEL}/thread-members")
def thread_members(asked: Asked) -> list[dict]:
    thread = channel_of(asked)
    return [payloads.thread_member(thread, each) for each in thread.members]


@route(f"GET {CHANNEL}/thread-members/{{user}}")
def thread_member(asked: Asked) -> dict:
    thread, number = channel_of(asked), asked.number("user")
    if number not in thread.members:
        raise refused.unknown("Member")
    return payloads.thread_member(thread, number)


@route(f"PUT {CHANNEL}/thread-members/{{user}}")
def join(asked: Asked) -> None:
    thread = channel_of(asked)
    if thread.archived:
        raise refused.archived()
    name = asked.path["user"]
    joins = asked.me.user if name == "@me" else asked.discord.users.get(asked.number("user"))
    if joins is None:
        raise refused.unknown("User")
    asked.discord.thread_things.join(thread, [joins])


@route(f"DELETE {CHANNEL}/thread-members/{{user}}")
def leave(asked: Asked) -> None:
    thread = channel_of(asked)
    if asked.path["user"] == "@me":
        return asked.discord.thread_things.leave(thread, asked.me.user)
    channel_of(asked, P.MANAGE_THREADS)
    found = asked.discord.users.get(asked.number("user"))
    if found is None:
        raise refused.unknown("User")
    return asked.discord.thread_things.leave(thread, found)


@route(f"GET {GUILD}/threads/active")
def active_threads(asked: Asked) -> dict:
    mine = asked.me.user
    found = [
        each
        for each in asked.discord.threads(guild_of(asked))
        if not each.archived and permissions(mine, each)
    ]
    return _threads(asked, found)


@route(f"GET {CHANNEL}/threads/archived/public")
def archived_threads(asked: Asked) -> dict:
    found = asked.discord.threads_of(channel_of(asked, P.READ_MESSAGE_HISTORY))
    shown = [each for each in found if each.archived and each.type == PUBLIC_THREAD]
    shown.sort(key=lambda each: each.archive_changed_at, reverse=True)
    return _threads(asked, shown) | {"has_more": False}


def _threads(asked: Asked, found: list[Channel]) -> dict:
    joined = [each for each in found if asked.me.id in each.members]
    return {
        "threads": [payloads.channel(each, asked.me.user) for each in found],
        "members": [payloads.thread_member(each, asked.me.id) for each in joined],
    }
