"""A Discord with a guild in it, and the real discord.py that talks to it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import discord
import pytest

from tests.fakes.discord import App, Channel, FakeDiscord, Guild, Person
from tests.fakes.discord.pointed import pointed_at


class Client(discord.Client):
    """discord.py's own client, that keeps what it heard."""

    def __init__(self, **options) -> None:
        intents = options.pop("intents", None) or discord.Intents.all()
        options = {"guild_ready_timeout": 0.02, "heartbeat_timeout": 0.3, **options}
        super().__init__(intents=intents, **options)
        self.heard: list[tuple[str, object]] = []
        self.tree = discord.app_commands.CommandTree(self)

    async def before_identify_hook(self, shard_id, *, initial: bool = False) -> None:
        """Without the five seconds; the fake scales its own."""

    def dispatch(self, event: str, /, *args) -> None:
        self.heard.append((event, args[0] if args else None))
        super().dispatch(event, *args)

    def of(self, event: str) -> list:
        return [about for name, about in self.heard if name == event]

    def texts(self) -> list[str]:
        return [message.content for message in self.of("message") if message.content]


@dataclass
class Town:
    """The fake, a guild, two people, our bot, and what runs for them."""

    fake: FakeDiscord
    app: App
    ann: Person
    bo: Person
    guild: Guild
    general: Channel
    clients: list[tuple[Client, asyncio.Task[None]]] = field(default_factory=list)

    async def client(self, **options) -> Client:
        """A client that is ready."""
        client = Client(**options)
        await client.login(self.app.token)
        running = asyncio.create_task(client.connect())
        self.clients.append((client, running))
        ready = asyncio.create_task(client.wait_until_ready())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED, timeout=10)
        if running.done():
            ready.cancel()
            await running
        return client

    async def heard(self, client: Client, event: str, count: int = 1) -> list:
        """What the client heard of an event, once it is that much."""
        async with asyncio.timeout(100):
            while len(client.of(event)) < count:
                await asyncio.sleep(0.002)
        return client.of(event)

    async def close(self) -> None:
        for client, running in self.clients:
            await client.close()
            await asyncio.wait([running])


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with FakeDiscord(scale=0.01) as fake:
        app = fake.app("ona")
        ann = fake.person("ann")
        guild = fake.guild("town", ann)
        bo = fake.person("bo", guild)
        fake.install(app, guild)
        general = fake.channel(guild, "general")
        town = Town(fake, app, ann, bo, guild, general)
        with pointed_at(fake):
            yield town
            await town.close()
