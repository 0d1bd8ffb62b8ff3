"""A Discord: a real server on 127.0.0.1 with guilds, people, the HTTP interface and the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from aiohttp import web

from tests.fakes.discord import payloads
from tests.fakes.discord.app import App
from tests.fakes.discord.bad import Bad, BadDays, BadEvent
from tests.fakes.discord.clock import Clock
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.greeting import guild_body
from tests.fakes.discord.interactions import Interactions
from tests.fakes.discord.messages import Messages, Notification
from tests.fakes.discord.people import Person
from tests.fakes.discord.rates import RateLimits
from tests.fakes.discord.rest import Rest
from tests.fakes.discord.threads import ThreadThings
from tests.fakes.discord.world import (
    DM,
    FORUM,
    TEXT,
    USUAL,
    Attachment,
    Channel,
    Guild,
    Member,
    Message,
    Overwrite,
    Permission,
    Role,
    User,
)

BODY_BYTES_MAX = 64 * 1024 * 1024


class FakeDiscord:
    """Everything there is; tests make guilds and people, and let these act."""

    def __init__(self, *, scale: float = 1.0, clock: Clock | None = None) -> None:
        """Seconds of limits are multiplied by `scale`."""
        self.clock = clock or Clock()
        self.url = ""
        self.apps: list[App] = []
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        """With threads and direct messages."""
        self.users: dict[int, User] = {}
        self.notifications: list[Notification] = []
        self.ephemerals: list[Message] = []
        self.files: dict[int, Attachment] = {}
        self.rates = RateLimits(clock=self.clock, scale=scale)
        self.bad = BadDays()
        self.messages = Messages(self)
        self.thread_things = ThreadThings(self)
        self.gateway = Gateway(self)
        self.interactions = Interactions(self)
        self.rest = Rest(self)
        self.crashes: list[BaseException] = []
        """What went wrong in here; leaving the Discord raises the first."""
        self._moved = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.owner = self._user("portal")
        """Of every app."""

    @property
    def api_url(self) -> str:
        """What `discord.http.Route.BASE` is to be."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What `DiscordWebSocket.DEFAULT_GATEWAY` is to be."""
        return self.url.replace("http", "ws", 1) + "/gateway/"

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_get("/gateway/", self.gateway.serve)
        application.router.add_route("*", "/api/v10/{path:.*}", self.rest.handle)
        application.router.add_get("/attachments/{channel}/{file}/{name}", self.rest.download)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gateway.deaf = False
        self.gateway.drop()
        assert self._runner is not None
        await self._runner.cleanup()
        if self.crashes:
            raise self.crashes.pop()

    def behave(self, route: str, *bad: Bad) -> None:
        """What the next requests of a route meet; `POST /channels/{channel}/messages`."""
        self.rest.known(route)
        self.bad.behave(route, *bad)

    def event(self, name: str, *bad: BadEvent) -> None:
        """What the next events of this name meet on their way."""
        self.bad.event(name, *bad)

    def requests(self, route: str) -> list[dict]:
        """The bodies of the requests of a route so far."""
        return [body for known, body in self.rest.requests if known == route]

    def touch(self) -> None:
        """Wake whoever waits for something to happen."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, true: Callable[[], object], seconds: float = 100) -> None:
        """Wait until it is true; looked at whenever something happens."""
        async with asyncio.timeout(seconds):
            while not true():
                await self._moved.wait()

    def app(self, name: str = "ona") -> App:
        """An app with a bot user; its token is the answer's."""
        user = self._user(name, bot=True)
        app = App(user=user, token=f"{user.id}.fake.{name}")
        self.apps.append(app)
        return app

    def app_of(self, token: str) -> App | None:
        return next((app for app in self.apps if app.token == token), None)

    def _user(self, name: str, **more: bool) -> User:
        user = User(id=self.clock.snowflake(), name=name, **more)
        self.users[user.id] = user
        return user

    def person(self, name: str, *guilds: Guild, bot: bool = False) -> Person:
        """Somebody new who is in these guilds; `bot`: somebody else's bot."""
        person = Person(self, self._user(name, bot=bot))
        for guild in guilds:
            self.add(guild, person.user)
        return person

    def guild(self, name: str, owner: Person) -> Guild:
        number = self.clock.snowflake()
        everyone = Role(id=number, name="@everyone", permissions=int(USUAL))
        guild = Guild(id=number, name=name, owner=owner.user, roles=[everyone])
        self.guilds[number] = guild
        self.add(guild, owner.user)
        return guild

    def add(self, guild: Guild, user: User, *roles: Role) -> Member:
        """Let a user join a guild."""
        member = Member(user=user, roles=list(roles), joined_at=self.clock.now())
        guild.members[user.id] = member
        body = {"guild_id": str(guild.id), **payloads.member(member)}
        self.gateway.emit("GUILD_MEMBER_ADD", body, guild=guild)
        return member

    def install(self, app: App, guild: Guild, permissions: Permission = USUAL) -> Member:
        """Add an app's bot to a guild, with a role of its own."""
        name, number = app.user.name, self.clock.snowflake()
        role = Role(id=number, name=name, permissions=int(permissions), managed_by=app.user)
        guild.roles.append(role)
        member = Member(user=app.user, roles=[role], joined_at=self.clock.now())
        guild.members[app.id] = member
        self.gateway.emit(
            "GUILD_CREATE",
            lambda session: self._joined(guild_body(self, session, guild)),
            guild=guild,
            only=app,
        )
        return member

    def _joined(self, body: dict) -> dict:
        return {key: value for key, value in body.items() if key != "unavailable"}

    def role(self, guild: Guild, name: str, *people: Person, mentionable: bool = False) -> Role:
        role = Role(id=self.clock.snowflake(), name=name, mentionable=mentionable)
        guild.roles.append(role)
        for person in people:
            guild.members[person.user.id].roles.append(role)
        body = {"guild_id": str(guild.id), "role": payloads.role(role)}
        self.gateway.emit("GUILD_ROLE_CREATE", body, guild=guild)
        return role

    def channel(
        self, guild: Guild, name: str, *members: Person | App, private: bool = False
    ) -> Channel:
        """A text channel; a private one is seen by these members only."""
        channel = Channel(id=self.clock.snowflake(), type=TEXT, name=name, guild=guild)
        if private:
            channel.overwrites[guild.id] = Overwrite(deny=int(Permission.VIEW_CHANNEL))
        for member in members:
            allow = Overwrite(allow=int(Permission.VIEW_CHANNEL))
            channel.overwrites[member.user.id] = allow
        return self._settle(channel)

    def forum(self, guild: Guild, name: str) -> Channel:
        """A channel of which every post is a thread."""
        channel = Channel(id=self.clock.snowflake(), type=FORUM, name=name, guild=guild)
        return self._settle(channel)

    def _settle(self, channel: Channel) -> Channel:
        assert channel.guild
        self.channels[channel.id] = channel
        channel.guild.channels[channel.id] = channel
        self.thread_things.tell("CHANNEL_CREATE", channel)
        return channel

    def direct(self, one: User, other: User) -> Channel:
        """The direct messages between two users, as they are or begun now."""
        for channel in self.channels.values():
            if channel.type == DM and {one, other} == set(channel.recipients):
                return channel
        channel = Channel(id=self.clock.snowflake(), type=DM, recipients=[one, other])
        self.channels[channel.id] = channel
        return channel

    def threads(self, guild: Guild) -> list[Channel]:
        return [each for each in self.channels.values() if each.is_thread and each.guild is guild]

    def threads_of(self, parent: Channel) -> list[Channel]:
        return [each for each in self.channels.values() if each.parent is parent]
