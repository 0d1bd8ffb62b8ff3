"""An installation that a workspace of the fake Slack talks to."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from adapters.forge.accounts import Accounts
from bot.config import Settings, SlackSettings
from bot.govern.agents import Agents
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.people import Person
from tests.fakes.slack.world import Channel, Install, Message, Workspace
from tests.integration.chat.serving import serving
from tests.integration.conftest import Town


@dataclass(kw_only=True)
class Office:
    """A workspace with people in it, and the installation's part that serves them."""

    town: Town
    slack: FakeSlack
    team: Workspace
    bot: Install
    ann: Person
    bo: Person
    general: Channel
    start_reaction: str = ""
    agents: Agents | None = None
    accounts: Mapping[str, Accounts] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        (app_token,) = self.slack.app.app_tokens
        return Settings(
            slack=SlackSettings(
                bot_token=SecretStr(self.bot.token),
                app_token=SecretStr(app_token),
                api_url=self.slack.api_url,
                start_reaction=self.start_reaction,
            )
        )

    @asynccontextmanager
    async def serving(self, *, sends: bool = True) -> AsyncIterator[asyncio.Event]:
        """What `ona serve` does for its chat surfaces; ends when the event is set."""
        before = len(self.slack.out.sockets.open)
        served = serving(
            self.town,
            self.settings,
            sends=sends,
            agents=self.agents,
            accounts=self.accounts,
        )
        async with served as stop:
            await self.slack.until(lambda: len(self.slack.out.sockets.open) > before)
            yield stop

    def asks(self, text: str, *, by: Person | None = None, **more: object) -> Message:
        """Say it to the bot in the general channel."""
        person = by or self.ann
        return person.says(self.general, f"{self.bot.user.mention} {text}", **more)  # type: ignore[arg-type]

    def ours(self, message: Message) -> list[Message]:
        """What the bot has posted in a thread, what one person alone sees left out."""
        return [
            one
            for one in self.general.thread(message.place)
            if one.author is self.bot.user and one.only_for is None and not one.deleted
        ]

    def answers(self, message: Message) -> list[Message]:
        """Those that answer, and don't just say how it ended."""
        words = ("exit status", "```")
        return [one for one in self.ours(message) if all(word in one.text for word in words)]

    async def answered(self, message: Message, *words: str) -> Message:
        """Wait for a post of the bot in the thread that has these words in it."""

        def found() -> Message | None:
            fitting = (one for one in self.ours(message) if all(w in one.text for w in words))
            return next(fitting, None)

        await self.slack.until(found)
        answer = found()
        assert answer is not None
        return answer

    async def sent(self) -> None:
        """Wait until an answer was sent, however often that was tried."""
        async with asyncio.timeout(100):
            while not await self.town.value(
                "SELECT count(*) FROM reply WHERE kind = 'answer' AND state = 'sent'"
            ):
                await asyncio.sleep(0.05)

    async def acknowledged(self) -> None:
        """Deliver what was not acknowledged, again and again, until it is."""
        async with asyncio.timeout(100):
            while not all(one.acked for one in self.slack.out.all):
                self.slack.out.retry_now()
                await asyncio.sleep(0.1)

    async def heard(self) -> None:
        """Wait until every delivery so far was acknowledged."""
        await self.slack.until(lambda: all(one.acked for one in self.slack.out.all))


@asynccontextmanager
async def open_office(town: Town) -> AsyncIterator[Office]:
    """A workspace with Ann, Bo and the bot in one channel."""
    async with FakeSlack() as slack:
        team = slack.workspace("acme")
        bot = slack.install(team)
        ann, bo = slack.person(team, "ann"), slack.person(team, "bo")
        general = slack.channel(team, "general", ann, bo, bot.user)
        yield Office(town=town, slack=slack, team=team, bot=bot, ann=ann, bo=bo, general=general)
