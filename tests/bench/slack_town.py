"""A workspace whose people talk, at a rate, to an app in a process of its own."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.slack import FakeSlack
from tests.fakes.slack.delivery import Delivery
from tests.fakes.slack.installed import Install
from tests.fakes.slack.people import Person
from tests.fakes.slack.world import Channel, Message

CHANNELS, PEOPLE = 10, 40
START_SECONDS_MAX = 60.0
ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class Town:
    """The workspace, and how many of its people's words were for us."""

    slack: FakeSlack
    bot: Install
    people: Sequence[Person]
    channels: Sequence[Channel]
    threads: list[tuple[Channel, Message]] = field(default_factory=list)
    asked: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def app_token(self) -> str:
        return next(iter(self.slack.app.app_tokens))

    def ask(self, channel: Channel, person: Person, thread: Message | None = None) -> Message:
        """A prompt, which is delivered twice: as a message and as a mention."""
        self.asked += 1
        words = f"{self.bot.user.mention} !echo {self.asked}"
        return person.says(channel, words, thread=thread)

    def say(self) -> None:
        """Something that is not for us, in a channel or in a thread of ours."""
        number = next(self._numbers)
        person = self.people[number % PEOPLE]
        if self.threads and number % 2:
            channel, thread = self.threads[number % len(self.threads)]
            person.says(channel, f"I think {number}", thread=thread)
        else:
            person.says(self.channels[number % CHANNELS], f"Did you see {number}?")

    async def talk(
        self, a_second: float, seconds: float, *, asked_every: int
    ) -> Sequence[Delivery]:
        """Let so many events happen a second; each so-manyth is a prompt, and counts twice."""
        before, begin, done = len(self.slack.out.all), time.monotonic(), 0
        while (passed := time.monotonic() - begin) < seconds:
            while done < passed * a_second:
                if self.threads and done % asked_every < 2:
                    channel, thread = self.threads[self.asked % len(self.threads)]
                    self.ask(channel, self.people[self.asked % PEOPLE], thread)
                    done += 2
                else:
                    self.say()
                    done += 1
            await asyncio.sleep(0.01)
        return self.slack.out.all[before:]

    async def acknowledged(self, seconds: float) -> bool:
        """Wait until everything is; Slack delivers again at once and after a minute."""
        try:
            async with asyncio.timeout(seconds):
                while not all(one.acked for one in self.slack.out.all):
                    await asyncio.sleep(0.2)
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    """A workspace with its limits in force."""
    async with FakeSlack() as slack:
        team = slack.workspace("acme")
        bot = slack.install(team)
        people = [slack.person(team, f"person{number}") for number in range(PEOPLE)]
        channels = [
            slack.channel(team, f"channel{number}", *people, bot.user) for number in range(CHANNELS)
        ]
        yield Town(slack=slack, bot=bot, people=people, channels=channels)


@asynccontextmanager
async def listening(town: Town, *words: str, **environment: str) -> AsyncIterator[None]:
    """Run a Python module that connects to the workspace, until the context ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, cwd=ROOT, env=_environment(environment)
    )
    try:
        await town.slack.until(lambda: town.slack.out.sockets.open, START_SECONDS_MAX)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _environment(more: Mapping[str, str]) -> Mapping[str, str]:
    """Ours without the settings of whoever runs the bench."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("ONA_")}, **more}
