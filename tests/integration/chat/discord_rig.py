"""An installation that a guild of the fake Discord talks to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from bot.config import DiscordSettings, Settings
from bot.govern.agents import Agents
from tests.fakes.discord import App, Channel, FakeDiscord, Guild, Message, Person
from tests.fakes.discord.pointed import pointed_at
from tests.integration.chat.serving import serving
from tests.integration.conftest import Town


@dataclass(kw_only=True)
class Office:
    """A guild with people in it, and the installation's part that serves them."""

    town: Town
    fake: FakeDiscord
    app: App
    guild: Guild
    ann: Person
    bo: Person
    general: Channel
    agents: Agents | None = None
    start_reaction: str = ""

    def settings(self, token: str = "") -> Settings:
        """Of an installation with this bot, and its token unless another one is given."""
        secret = SecretStr(token or self.app.token)
        return Settings(discord=DiscordSettings(token=secret, start_reaction=self.start_reaction))

    @asynccontextmanager
    async def serving(self, *, token: str = "", sends: bool = True) -> AsyncIterator[asyncio.Event]:
        """What `ona serve` does for its chat surfaces; ends when the event is set."""
        settings = self.settings(token)
        async with serving(self.town, settings, sends=sends, agents=self.agents) as stop:
            yield stop

    async def ready(self) -> None:
        """Wait until one process listens and our commands are known."""
        await self.fake.until(lambda: self.app.commands.get(None) and self.fake.gateway.sessions)

    def asks(self, text: str, *, by: Person | None = None) -> Message:
        """Say it to the bot in the general channel."""
        return (by or self.ann).says(self.general, f"<@{self.app.id}> {text}")

    def ours(self, channel: Channel | None, by: Person | None = None) -> list[Message]:
        """What the bot has posted in a channel, as somebody sees it; None: Ann."""
        if channel is None:
            return []
        seen = self.fake.messages.seen(channel, (by or self.ann).user)
        return [one for one in seen if one.author is self.app.user and one.text]

    async def answered(self, asked: Message, *words: str) -> Message:
        """Wait for a post of the bot in the thread under a message that has these words in it."""
        return await self.posted(lambda: asked.thread, *words)

    async def posted(self, where: object, *words: str) -> Message:
        """Wait for a post of the bot with these words; `where` gives the channel."""

        def found() -> Message | None:
            channel = where() if callable(where) else where
            posts = self.ours(channel)  # type: ignore[arg-type]
            return next((one for one in posts if all(word in one.text for word in words)), None)

        await self.fake.until(found)
        answer = found()
        assert answer is not None
        return answer


@asynccontextmanager
async def open_office(town: Town) -> AsyncIterator[Office]:
    """A guild with Ann, Bo and the bot."""
    async with FakeDiscord(scale=0.01) as fake:
        app = fake.app("ona")
        ann = fake.person("ann")
        guild = fake.guild("acme", ann)
        bo = fake.person("bo", guild)
        fake.install(app, guild)
        general = fake.channel(guild, "general")
        with pointed_at(fake):
            yield Office(
                town=town, fake=fake, app=app, guild=guild, ann=ann, bo=bo, general=general
            )
