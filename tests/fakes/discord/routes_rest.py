"""Routes of everything but messages and interactions."""

from __future__ import annotations

from tests.fakes.discord import payloads, refused
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.rest import Asked, route
from tests.fakes.discord.routes_messages import (
    channel_of,
)
from tests.fakes.discord.world import (
    Channel,
    Guild,
    Permission,
    permissions,
)

CHANNEL = "/channels/{channel}"
GUILD = "/guilds/{guild}"
COMMANDS = "/applications/{application}/commands"
GUILD_COMMANDS = "/applications/{application}/guilds/{guild}/commands"
COMMANDS_MAX = 100
OF_OWNERS = {"name", "archived", "auto_archive_duration", "invitable"}
"""What a thread's owner may change in it."""
P = Permission


@route("GET /gateway/bot")
def gateway(asked: Asked) -> dict:
    app, now = asked.me, asked.discord.clock.now()
    first = app.starts[0] if app.starts else now
    return {
        "url": asked.discord.gateway_url,
        "shards": 1,
        "session_start_limit": {
            "total": app.session_starts_max,
            "remaining": app.starts_left(now),
            "reset_after": int((first + 86_400 - now) * 1000) if app.starts else 0,
            "max_concurrency": app.identifies_at_once,
        },
    }


@route("GET /users/@me")
def me(asked: Asked) -> dict:
    return {**payloads.user(asked.me.user), "verified": True, "mfa_enabled": False}


@route("GET /users/@me/guilds")
def my_guilds(asked: Asked) -> list[dict]:
    mine = [each for each in asked.discord.guilds.values() if asked.me.id in each.members]
    more = {"owner": False, "permissions": "0"}
    return [payloads.guild(each) | more for each in sorted(mine, key=lambda each: each.id)]


@route("GET /users/{user}")
def user(asked: Asked) -> dict:
    found = asked.discord.users.get(asked.number("user"))
    if found is None:
        raise refused.unknown("User")
    return payloads.user(found)


@route("GET /applications/@me")
def application(asked: Asked) -> dict:
    return asked.me.body(asked.discord.owner)


@route("GET /oauth2/applications/@me")
def application_as_before(asked: Asked) -> dict:
    return application(asked)


@route(f"GET {COMMANDS}")
def commands(asked: Asked) -> list[dict]:
    return asked.me.commands.get(None, [])


@route(f"PUT {COMMANDS}")
def overwrite(asked: Asked) -> list[dict]:
    return _overwrite(asked, None)


@route(f"GET {GUILD_COMMANDS}")
def guild_commands(asked: Asked) -> list[dict]:
    return asked.me.commands.get(guild_of(asked).id, [])


@route(f"PUT {GUILD_COMMANDS}")
def overwrite_in_guild(asked: Asked) -> list[dict]:
    return _overwrite(asked, guild_of(asked).id)


def _overwrite(asked: Asked, guild_id: int | None) -> list[dict]:
    if asked.number("application") != asked.me.id:
        raise Refused(403, 20012, "You are not authorized to perform this action")
    if len(asked.body) > COMMANDS_MAX:
        raise refused.too_long("", COMMANDS_MAX)
    before = {(each["type"], each["name"]): each for each in asked.me.commands.get(guild_id, [])}
    made = []
    for number, each in enumerate(asked.body):
        kind = each.get("type", 1)
        refused.bounded(f"{number}.name", each["name"], 1, 32)
        refused.bounded(f"{number}.description", each.get("description"), 1 * (kind == 1), 100)
        known = before.get((kind, each["name"]), {})
        body = {"description": "", **each, "type": kind, "application_id": str(asked.me.id)}
        body["id"] = known.get("id") or str(asked.discord.clock.snowflake())
        body["version"] = str(asked.discord.clock.snowflake())
        made.append(body | ({"guild_id": str(guild_id)} if guild_id else {}))
    asked.me.commands[guild_id] = made
    return made


@route("POST /users/@me/channels")
def direct(asked: Asked) -> dict:
    other = asked.discord.users.get(int(asked.body["recipient_id"]))
    if other is None:
        raise refused.unknown("User")
    channel = asked.discord.direct(asked.me.user, other)
    return payloads.channel(channel, asked.me.user)


@route(f"GET {CHANNEL}")
def channel(asked: Asked) -> dict:
    return payloads.channel(channel_of(asked), asked.me.user)


@route(f"PATCH {CHANNEL}")
def change(asked: Asked) -> dict:
    found = channel_of(asked)
    may, mine = permissions(asked.me.user, found), found.owner is asked.me.user
    refused.bounded("name", asked.body.get("name"), 1, 100)
    known = {*OF_OWNERS, "locked"} if found.is_thread else {"name"}
    changes = {key: value for key, value in asked.body.items() if key in known}
    if not found.is_thread and not may & P.MANAGE_CHANNELS:
        raise refused.missing_permissions()
    if found.is_thread and not may & P.MANAGE_THREADS:
        _restrict(found, changes, mine=mine, joined=asked.me.id in found.members)
    if found.archived and changes.get("archived") is not False:
        raise refused.archived()
    if changes.get("name", found.name) != found.name:
        wait = asked.discord.rates.rename(asked.me.token, found.id)
        if wait is not None:
            raise refused.too_often(wait)
    asked.discord.thread_things.change(found, changes)
    return payloads.channel(found, asked.me.user)


def _restrict(thread: Channel, changes: dict, *, mine: bool, joined: bool) -> None:
    """Who may not manage threads may open one again that is not locked, and change their own."""
    if "locked" in changes and changes["locked"] != thread.locked:
        raise refused.missing_permissions()
    if thread.locked and not mine:
        raise refused.locked()
    reopens = set(changes) <= {"archived", "locked"} and changes.get("archived") is False
    if not mine and not (reopens and joined):
        raise refused.missing_permissions()


@route(f"DELETE {CHANNEL}")
def remove(asked: Asked) -> dict:
    found = channel_of(asked)
    channel_of(asked, P.MANAGE_THREADS if found.is_thread else P.MANAGE_CHANNELS)
    body = payloads.channel(found, asked.me.user)
    asked.discord.thread_things.delete(found)
    return body


@route(f"POST {CHANNEL}/typing")
def typing(asked: Asked) -> None:
    channel_of(asked)


def guild_of(asked: Asked) -> Guild:
    found = asked.discord.guilds.get(asked.number("guild"))
    if found is None:
        raise refused.unknown("Guild")
    if asked.me.id not in found.members:
        raise refused.missing_access()
    return found


@route(f"GET {GUILD}")
def guild(asked: Asked) -> dict:
    return payloads.guild(guild_of(asked))


@route(f"GET {GUILD}/channels")
def channels(asked: Asked) -> list[dict]:
    found = guild_of(asked).channels.values()
    return [payloads.channel(each) for each in found]


@route(f"GET {GUILD}/roles")
def roles(asked: Asked) -> list[dict]:
    return [payloads.role(each) for each in guild_of(asked).roles]


@route(f"GET {GUILD}/members")
def members(asked: Asked) -> list[dict]:
    if not asked.me.privileged & 2:
        raise refused.missing_access()
    after, limit = int(asked.query.get("after", 0)), int(asked.query.get("limit", 1))
    found = sorted(guild_of(asked).members.items())
    return [payloads.member(each) for number, each in found if number > after][:limit]


@route(f"GET {GUILD}/members/{{user}}")
def member(asked: Asked) -> dict:
    found = guild_of(asked).members.get(asked.number("user"))
    if found is None:
        raise refused.unknown("Member")
    return payloads.member(found)
