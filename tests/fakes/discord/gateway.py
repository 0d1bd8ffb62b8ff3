"""The gateway: WebSocket connections, and which session gets which event."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from tests.fakes.discord.app import App
from tests.fakes.discord.connection import Connection
from tests.fakes.discord.greeting import greet, tell_members
from tests.fakes.discord.intents import wanted
from tests.fakes.discord.opcodes import (
    ACK,
    ALREADY,
    AUTHENTICATION,
    DECODE,
    HEARTBEAT,
    HELLO,
    IDENTIFY,
    INVALID,
    INVALID_SEQ,
    NOT_AUTHENTICATED,
    PRESENCE,
    RECONNECT,
    REQUEST_MEMBERS,
    RESUME,
    TOO_FAST,
    UNKNOWN_OP,
    VERSION,
    VOICE,
    op,
    wrong,
)
from tests.fakes.discord.sessions import RESUME_SECONDS, Close, Session
from tests.fakes.discord.world import Channel, Guild, Permission, permissions

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

HEARTBEAT_SECONDS = 41.25
IDENTIFY_SECONDS = 5.0
SENT_PER_MINUTE_MAX = 120

Body = dict | Callable[[Session], dict]


class Gateway:
    """Every session of every app."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord
        self.sessions: list[Session] = []
        self.heartbeat_seconds = HEARTBEAT_SECONDS
        self.deaf = False
        """Heartbeats are not answered, and nothing else is sent: a zombie."""
        self.identified = 0
        self.resumed = 0
        self.heartbeats = 0
        self._identifies: dict[tuple[int, int], deque[float]] = {}
        self._ops = {
            HEARTBEAT: self._heartbeat,
            IDENTIFY: self._identify,
            RESUME: self._resume,
            REQUEST_MEMBERS: self._members,
            PRESENCE: self._ignore,
            VOICE: self._ignore,
        }

    @property
    def connected(self) -> list[Session]:
        return [session for session in self.sessions if session.connection]

    def emit(
        self,
        name: str,
        body: Body,
        *,
        channel: Channel | None = None,
        guild: Guild | None = None,
        only: App | None = None,
    ) -> None:
        """Send an event to each session that may have it."""
        guild = guild or (channel.guild if channel else None)
        bad = None
        for session in self.sessions:
            if not self._gets(session, name, channel, guild, only):
                continue
            if bad is None:
                bad = self.discord.bad.of_event(name)
            session.push(name, body(session) if callable(body) else body, bad)
        self.discord.touch()

    def let_go(self) -> None:
        """Send what was to be overtaken by an event that doesn't come."""
        for session in self.sessions:
            session.let_go()

    def _gets(
        self,
        session: Session,
        name: str,
        channel: Channel | None,
        guild: Guild | None,
        only: App | None,
    ) -> bool:
        app = session.app
        if session.invalid or (only and app is not only):
            return False
        if not session.serves(guild.id if guild else None):
            return False
        if only is None and guild and app.id not in guild.members:
            return False
        if (
            only is None
            and channel
            and not permissions(app.user, channel) & Permission.VIEW_CHANNEL
        ):
            return False
        return wanted(name, session.intents, in_guild=guild is not None)

    def drop(self, *, resumable: bool = True) -> None:
        """Cut every connection; a session that is not resumable is forgotten."""
        self._end(Close(None), resumable=resumable)

    def close(self, code: int, *, resumable: bool = True) -> None:
        """Close every connection with a code."""
        self._end(Close(code), resumable=resumable)

    def reconnect(self) -> None:
        """Ask every client to come back."""
        for session in self.connected:
            assert session.connection
            session.connection.put_nowait(op(RECONNECT, None))

    def invalidate(self, *, resumable: bool = False) -> None:
        """Tell every client that its session is invalid."""
        for session in self.connected:
            assert session.connection
            session.invalid = not resumable
            session.connection.put_nowait(op(INVALID, resumable))

    def _end(self, close: Close, *, resumable: bool) -> None:
        for session in self.connected:
            session.invalid = not resumable
            session.left_at = self.discord.clock.now()
            session.end(close)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from hello to its end."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        connection = Connection(request, socket)
        if request.query.get("v") != "10" or request.query.get("encoding") != "json":
            await socket.close(code=VERSION)
            return socket
        connection.tell(op(HELLO, {"heartbeat_interval": int(self.heartbeat_seconds * 1000)}))
        sender = asyncio.create_task(connection.send(lambda: self.deaf))
        try:
            await self._listen(connection)
        except Exception as error:
            self.discord.crashes.append(error)
            raise
        finally:
            self._left(connection)
            sender.cancel()
            await asyncio.wait([sender])
        return socket

    async def _listen(self, connection: Connection) -> None:
        heard: deque[float] = deque()
        async for message in connection.socket:
            heard.append(self.discord.clock.now())
            while heard[0] < heard[-1] - 60:
                heard.popleft()
            if message.type is not WSMsgType.TEXT:
                connection.tell(Close(DECODE))
            elif len(heard) > SENT_PER_MINUTE_MAX:
                connection.tell(Close(TOO_FAST))
            else:
                self._heard(connection, message.data)
            self.discord.touch()

    def _heard(self, connection: Connection, text: str) -> None:
        try:
            payload = json.loads(text)
            number, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError):
            return connection.tell(Close(DECODE))
        if number not in self._ops:
            return connection.tell(Close(UNKNOWN_OP))
        if connection.session is None and number not in (HEARTBEAT, IDENTIFY, RESUME):
            return connection.tell(Close(NOT_AUTHENTICATED))
        if number in (IDENTIFY, RESUME, REQUEST_MEMBERS) and not isinstance(data, dict):
            return connection.tell(Close(DECODE))
        return self._ops[number](connection, data)

    def _ignore(self, connection: Connection, data: object) -> None:
        """Presence and voice change nothing here."""

    def _heartbeat(self, connection: Connection, data: object) -> None:
        self.heartbeats += 1
        connection.tell(op(ACK, None))

    def _left(self, connection: Connection) -> None:
        session = connection.session
        if session is None or session.connection not in (None, connection.queue):
            return  # it was resumed elsewhere
        session.connection = None
        session.left_at = self.discord.clock.now()
        if connection.socket.close_code in (1000, 1001):
            session.invalid = True

    def _identify(self, connection: Connection, data: dict) -> None:
        app = self.discord.app_of(data.get("token", ""))
        if app is None:
            return connection.tell(Close(AUTHENTICATION))
        if connection.session:
            return connection.tell(Close(ALREADY))
        refusal = wrong(app, data)
        if refusal is not None:
            return connection.tell(Close(refusal))
        number, count = data.get("shard", (0, 1))
        if not self._may_identify(app, number):
            return connection.tell(op(INVALID, False))
        session = Session(app, data["intents"], (number, count))
        self.sessions.append(session)
        self.identified += 1
        connection.session, session.connection = session, connection.queue
        greet(self.discord, session)
        return None

    def _may_identify(self, app: App, shard: int) -> bool:
        now = self.discord.clock.now()
        if not app.starts_left(now):
            return False
        recent = self._identifies.setdefault((app.id, shard % app.identifies_at_once), deque())
        while recent and recent[0] <= now - IDENTIFY_SECONDS * self.discord.rates.scale:
            recent.popleft()
        if recent:
            return False
        recent.append(now)
        app.starts.append(now)
        return True

    def _resume(self, connection: Connection, data: dict) -> None:
        app = self.discord.app_of(data.get("token", ""))
        if app is None:
            return connection.tell(Close(AUTHENTICATION))
        now = self.discord.clock.now()
        for session in self.sessions:
            if session.id == data.get("session_id") and session.app is app and not session.invalid:
                if session.connection is None and session.left_at < now - RESUME_SECONDS:
                    break
                return self._replay(connection, session, int(data["seq"]))
        return connection.tell(op(INVALID, False))

    def _replay(self, connection: Connection, session: Session, number: int) -> None:
        missed = session.since(number)
        if missed is None:
            return connection.tell(Close(INVALID_SEQ))
        session.end(Close(4000))
        connection.session, session.connection = session, connection.queue
        session.left_at = math.inf
        for event in missed:
            connection.tell(event)
        self.resumed += 1
        session.push("RESUMED", {})
        return None

    def _members(self, connection: Connection, data: dict) -> None:
        assert connection.session
        tell_members(self.discord, connection.session, data)
