"""Numbers of the gateway: operations and close codes."""

from __future__ import annotations

from tests.fakes.discord.app import App
from tests.fakes.discord.intents import KNOWN, PRIVILEGED

UNKNOWN_OP, DECODE, NOT_AUTHENTICATED, AUTHENTICATION = 4001, 4002, 4003, 4004
ALREADY, INVALID_SEQ, TOO_FAST, SHARD = 4005, 4007, 4008, 4010
VERSION, INTENTS, DISALLOWED = 4012, 4013, 4014
HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, REQUEST_MEMBERS = 1, 2, 3, 4, 6, 8
RECONNECT, INVALID, HELLO, ACK = 7, 9, 10, 11


def op(number: int, data: object) -> dict:
    """A payload that is no event."""
    return {"op": number, "d": data, "s": None, "t": None}


def wrong(app: App, data: dict) -> int | None:
    """The close code for an identify that asks for too much."""
    intents = data.get("intents")
    if not isinstance(intents, int) or intents & ~KNOWN:
        return INTENTS
    if intents & PRIVILEGED & ~app.privileged:
        return DISALLOWED
    number, count = data.get("shard", (0, 1))
    return None if 0 <= number < count else SHARD
