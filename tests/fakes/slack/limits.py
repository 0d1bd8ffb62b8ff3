"""How often a method may be called, and which scope it wants.

The figures are the published ones: a tier names requests a minute, for each method, app and
workspace. Posting is once a second in a channel, with short bursts; how long these may be and
what a workspace bears in all is not published, so `POST_BURST` and `POSTS_A_MINUTE` are guesses.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
"""Requests a minute."""
HISTORY_A_MINUTE_OUTSIDE = 1
"""What an application that is distributed, but not from the marketplace, may read a minute."""
POST_BURST = 4
POSTS_A_MINUTE = 300
MINUTE_SECONDS = 60.0

REQUESTS_A_MINUTE = {
    "auth.test": 600,
    "chat.getPermalink": 600,
    "chat.postMessage": POSTS_A_MINUTE,
}
REQUESTS_A_MINUTE |= dict.fromkeys(
    ["users.list", "users.conversations", "reactions.remove"], TIERS[2]
)
REQUESTS_A_MINUTE |= dict.fromkeys(
    [
        "apps.connections.open",
        "bots.info",
        "chat.update",
        "chat.delete",
        "conversations.info",
        "conversations.open",
        "conversations.replies",
        "conversations.history",
        "conversations.join",
        "team.info",
        "reactions.add",
        "reactions.get",
        "agents.sessions.setStatus",
        "agents.sessions.rename",
    ],
    TIERS[3],
)
REQUESTS_A_MINUTE |= dict.fromkeys(
    [
        "chat.postEphemeral",
        "conversations.members",
        "users.info",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "files.info",
        "views.publish",
        "views.open",
        "views.update",
    ],
    TIERS[4],
)

SCOPES = {
    "apps.connections.open": "connections:write",
    "bots.info": "users:read",
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.postEphemeral": "chat:write",
    "conversations.join": "channels:join",
    "users.info": "users:read",
    "users.list": "users:read",
    "team.info": "team:read",
    "reactions.add": "reactions:write",
    "reactions.remove": "reactions:write",
    "reactions.get": "reactions:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "files.info": "files:read",
    "agents.sessions.setStatus": "chat:write",
    "agents.sessions.rename": "chat:write",
}
"""What a method always wants; reading a conversation wants the scope of its kind besides."""


class Throttled(Exception):
    """Too often; come back after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too often, wait {seconds:.1f} s")
        self.seconds = seconds


@dataclass(kw_only=True)
class RateLimits:
    """The limits in force, and a count of all that met them."""

    scale: float = 1.0
    """Times what is published; `math.inf` lifts every limit."""
    outside: bool = False
    """Whether the app is distributed outside the marketplace: threads are read once a minute."""
    clock: Callable[[], float] = time.monotonic
    used: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    _windows: dict[tuple[str, ...], deque[float]] = field(default_factory=dict)

    def take(self, method: str, team: str, channel: str) -> None:
        """Count one request, or refuse it; a refused one uses nothing up."""
        windows: list[tuple[tuple[str, ...], int, float]]
        windows = [((method, team), self._a_minute(method), MINUTE_SECONDS)]
        if method == "chat.postMessage":
            windows.append(((method, team, channel), POST_BURST, float(POST_BURST)))
        wait = max(self._wait(key, count, seconds) for key, count, seconds in windows)
        if wait > 0:
            self.refused[method] += 1
            raise Throttled(wait)
        self.used[method] += 1
        for key, _, _ in windows:
            self._windows.setdefault(key, deque()).append(self.clock())

    def _a_minute(self, method: str) -> int:
        if self.outside and method in ("conversations.replies", "conversations.history"):
            return HISTORY_A_MINUTE_OUTSIDE
        return REQUESTS_A_MINUTE[method]

    def _wait(self, key: tuple[str, ...], count: int, seconds: float) -> float:
        """How long until `count` a `seconds` bears one more."""
        if self.scale == math.inf:
            return 0
        allowed = max(1, int(count * self.scale))
        taken = self._windows.setdefault(key, deque())
        now = self.clock()
        while taken and taken[0] <= now - seconds:
            taken.popleft()
        return 0 if len(taken) < allowed else taken[len(taken) - allowed] + seconds - now
