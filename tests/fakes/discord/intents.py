"""Which intent an app needs for which event."""

from __future__ import annotations

from enum import IntFlag


class Intent(IntFlag):
    """Bits of an identify; the same names as in the published list."""

    GUILDS = 1 << 0
    GUILD_MEMBERS = 1 << 1
    GUILD_PRESENCES = 1 << 8
    GUILD_MESSAGES = 1 << 9
    GUILD_MESSAGE_REACTIONS = 1 << 10
    DIRECT_MESSAGES = 1 << 12
    DIRECT_MESSAGE_REACTIONS = 1 << 13
    MESSAGE_CONTENT = 1 << 15


PRIVILEGED = Intent.GUILD_MEMBERS | Intent.GUILD_PRESENCES | Intent.MESSAGE_CONTENT
KNOWN = sum(1 << bit for bit in (*range(17), 20, 21, 24, 25))

_MESSAGES = (Intent.GUILD_MESSAGES, Intent.DIRECT_MESSAGES)
_REACTIONS = (Intent.GUILD_MESSAGE_REACTIONS, Intent.DIRECT_MESSAGE_REACTIONS)
_GUILDS = (Intent.GUILDS, Intent.GUILDS)
_MEMBERS = (Intent.GUILD_MEMBERS, Intent.GUILD_MEMBERS)
_NEEDED = {
    "MESSAGE": _MESSAGES,
    "MESSAGE_REACTION": _REACTIONS,
    "GUILD": _GUILDS,
    "CHANNEL": _GUILDS,
    "THREAD": _GUILDS,
    "GUILD_MEMBER": _MEMBERS,
}


def wanted(event: str, intents: int, *, in_guild: bool) -> bool:
    """Whether a session with these intents gets an event; what no intent names always comes."""
    known = [prefix for prefix in _NEEDED if event.startswith(prefix + "_")]
    if not known:
        return True
    of_guild, of_dm = _NEEDED[max(known, key=len)]
    return bool(intents & (of_guild if in_guild else of_dm))
