"""What a session is told of guilds and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.discord import payloads
from tests.fakes.discord.intents import Intent
from tests.fakes.discord.sessions import Session
from tests.fakes.discord.world import Guild, permissions

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord


def greet(discord: FakeDiscord, session: Session) -> None:
    """Tell a new session that it is ready, and what guilds there are."""
    app = session.app
    guilds = [
        each
        for each in discord.guilds.values()
        if app.id in each.members and session.serves(each.id)
    ]
    ready = {
        "v": 10,
        "user": {**payloads.user(app.user), "verified": True, "mfa_enabled": False},
        "guilds": [{"id": str(each.id), "unavailable": True} for each in guilds],
        "session_id": session.id,
        "resume_gateway_url": discord.gateway_url,
        "shard": list(session.shard),
        "application": {"id": str(app.id), "flags": app.flags},
    }
    session.push("READY", ready)
    if session.intents & Intent.GUILDS:
        for guild in guilds:
            session.push("GUILD_CREATE", guild_body(discord, session, guild))


def guild_body(discord: FakeDiscord, session: Session, guild: Guild) -> dict:
    """A guild as a session gets it when it becomes available."""
    viewer = session.app.user
    threads = [
        each for each in discord.threads(guild) if not each.archived and permissions(viewer, each)
    ]
    whole = bool(session.intents & Intent.GUILD_PRESENCES)
    return payloads.guild_created(guild, viewer, threads, whole=whole)


def tell_members(discord: FakeDiscord, session: Session, data: dict) -> None:
    """Answer a request for the members of a guild, in one chunk."""
    guild = discord.guilds.get(int(data["guild_id"]))
    if guild is None:
        return
    asked = {int(each) for each in data.get("user_ids") or []}
    known = list(guild.members.values())
    if not session.intents & Intent.GUILD_MEMBERS and not asked:
        known = [guild.members[session.app.id]]
    body = {
        "guild_id": str(guild.id),
        "members": [payloads.member(one) for one in known if not asked or one.user.id in asked],
        "chunk_index": 0,
        "chunk_count": 1,
        "nonce": data.get("nonce"),
    }
    session.push("GUILD_MEMBERS_CHUNK", body)
