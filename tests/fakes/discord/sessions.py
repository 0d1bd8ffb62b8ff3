"""Sessions of the gateway: what an app was sent, and what it missed while it was away."""

from __future__ import annotations

import asyncio
import math
import secrets
from dataclasses import dataclass, field

from tests.fakes.discord.app import App
from tests.fakes.discord.bad import BadEvent
from tests.fakes.discord.intents import Intent

REPLAYED_MAX = 1000
"""Events kept for a resume (Discord's number is not published)."""
RESUME_SECONDS = 180.0
"""How long a session outlives its connection (Discord's number is not published)."""


@dataclass(frozen=True)
class Close:
    """Told to a connection: end with this code; None: just die."""

    code: int | None


@dataclass(eq=False)
class Session:
    """One identify, and every event since."""

    app: App
    intents: int
    shard: tuple[int, int]
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    sent: list[dict] = field(default_factory=list)
    number: int = 0
    connection: asyncio.Queue[dict | Close | asyncio.Event] | None = None
    """What the connection still has to send; None while there is none."""
    left_at: float = math.inf
    """When the connection was lost."""
    invalid: bool = False
    overtaken: list[tuple[str, dict, int]] = field(default_factory=list)
    """Names, bodies and times of events that go after the next one."""

    @property
    def knows_content(self) -> bool:
        return bool(self.intents & Intent.MESSAGE_CONTENT)

    def serves(self, guild_id: int | None) -> bool:
        """Whether the events of a guild go to this shard."""
        number, count = self.shard
        return (guild_id >> 22) % count == number if guild_id else number == 0

    def push(self, name: str, body: dict, bad: BadEvent | None = None) -> None:
        """Send an event now, or when the app is back."""
        bad = bad or BadEvent()
        if bad.lost:
            return
        if bad.wait and self.connection:
            self.connection.put_nowait(bad.wait)
        if (bad.drop or bad.close_code is not None) and self.connection:
            self.end(Close(bad.close_code))
        if bad.after_next:
            self.overtaken.append((name, body, bad.times))
            return
        self._send(name, body, bad.times)
        self.let_go()

    def let_go(self) -> None:
        """Send what was to be overtaken, as if the next event had."""
        overtaken, self.overtaken = self.overtaken, []
        for name, body, times in overtaken:
            self._send(name, body, times)

    def _send(self, name: str, body: dict, times: int) -> None:
        for _ in range(times):
            self.number += 1
            event = {"op": 0, "t": name, "s": self.number, "d": body}
            self.sent = [*self.sent, event][-REPLAYED_MAX:]
            if self.connection:
                self.connection.put_nowait(event)

    def end(self, close: Close) -> None:
        """Close the connection after what it was given so far."""
        if self.connection:
            self.connection.put_nowait(close)
            self.connection = None

    def since(self, number: int) -> list[dict] | None:
        """The events after `number`; None: it never was, or is no longer known."""
        if not 0 <= number <= self.number or self.number - number > len(self.sent):
            return None
        return [event for event in self.sent if event["s"] > number]
