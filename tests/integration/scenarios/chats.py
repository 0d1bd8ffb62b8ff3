"""Slack and Discord, as people talk there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from bot.config import DiscordSettings
from bot.conversation import audience
from tests.integration.chat import discord_rig, slack_rig
from tests.integration.conftest import Town

PUBLIC = audience.PUBLIC.partition("{")[0]


class SlackTalk:
    name = "slack"
    stops: ClassVar = ("word", "button", "reaction")
    asks_which: ClassVar = True
    confides: ClassVar = True

    def __init__(self, office: slack_rig.Office) -> None:
        self.office = office
        self.people = {"ann": office.ann, "bo": office.bo}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"slack": self.office.settings.slack}

    def accounts(self) -> Mapping[str, tuple[str, str]]:
        surface = f"slack:{self.office.team.id}"
        return {name: (surface, person.id) for name, person in self.people.items()}

    async def hooked(self, url: str) -> None:
        """It comes over its socket."""

    async def ready(self) -> None:
        await self.office.slack.until(lambda: self.office.slack.out.sockets.open)

    async def begins(self, text: str, by: str = "ann") -> Any:
        return self.office.asks(text, by=self.people[by])

    async def says(self, thread: Any, text: str, by: str = "ann") -> Any:
        return self.office.asks(text, by=self.people[by], thread=thread)

    async def edits(self, message: Any, text: str, by: str = "ann") -> None:
        self.people[by].edits(message, f"{self.office.bot.user.mention} {text}")

    async def stop(self, thread: Any, how: str) -> None:
        if how == "word":
            await self.says(thread, "stop")
            return
        live = await self.office.answered(thread, "begun")
        if how == "button":
            self.people["bo"].clicks(live, "Stop")
        else:
            self.people["bo"].reacts(live, "x")

    def posts(self, thread: Any) -> list[str]:
        return [one.text for one in self.office.ours(thread)]

    async def chooses(self, thread: Any, project: str) -> None:
        question = await self.office.answered(thread, "Which project")
        self.people["ann"].clicks(question, project)

    async def doubts(self, thread: Any) -> None:
        live = await self.office.answered(thread, "begun")
        self.people["ann"].clicks(live, "Wrong project?")

    async def copies(self, thread: Any) -> None:
        """Let Bo post a copy of our live message, with all that bears its mark, and stop there."""
        ours = await self.office.answered(thread, "begun")
        copy = self.office.bo.says(self.office.general, ours.text, thread=thread)
        copy.metadata = ours.metadata
        self.office.bo.reacts(copy, "x")

    def hinted(self, by: str = "ann") -> list[str]:
        """What they alone were told, where it stands in a channel or in a direct message."""
        found = self.office.general.messages
        return [one.text for one in found if one.only_for is self.people[by]] + self.confided(by)

    def confided(self, by: str = "ann") -> list[str]:
        direct = self.people[by].direct(self.office.bot.user)
        return [one.text for one in direct.messages if one.author is self.office.bot.user]


@asynccontextmanager
async def slack_talk(town: Town, _: Any) -> AsyncIterator[SlackTalk]:
    async with slack_rig.open_office(town) as office:
        yield SlackTalk(office)


class DiscordTalk:
    name = "discord"
    stops: ClassVar = ("word", "button", "reaction")
    asks_which: ClassVar = True
    confides: ClassVar = True

    def __init__(self, office: discord_rig.Office) -> None:
        self.office = office
        self.people = {"ann": office.ann, "bo": office.bo}

    @property
    def settings(self) -> Mapping[str, Any]:
        return {"discord": DiscordSettings(token=self.office.app.token)}  # type: ignore[arg-type]

    def accounts(self) -> Mapping[str, tuple[str, str]]:
        return {name: ("discord:discord", str(one.id)) for name, one in self.people.items()}

    async def hooked(self, url: str) -> None:
        """It comes over its gateway."""

    async def ready(self) -> None:
        await self.office.ready()

    async def begins(self, text: str, by: str = "ann") -> Any:
        return self.office.asks(text, by=self.people[by])

    async def says(self, thread: Any, text: str, by: str = "ann") -> Any:
        if thread.thread is None:
            self.people[by].opens_thread(thread, "talk")
        return self.people[by].says(thread.thread, f"<@{self.office.app.id}> {text}")

    async def edits(self, message: Any, text: str, by: str = "ann") -> None:
        self.people[by].edits(message, f"<@{self.office.app.id}> {text}")

    async def stop(self, thread: Any, how: str) -> None:
        live = await self.office.answered(thread, "begun")
        if how == "word":
            await self.says(thread, "stop")
        elif how == "button":
            self.people["bo"].clicks(live, "Stop")
        else:
            self.people["bo"].reacts(live, "❌")

    def posts(self, thread: Any) -> list[str]:
        texts = [one.text for one in self.office.ours(thread.thread)]
        # Who reads the channel is told beside what the scenarios are about.
        return [one for one in texts if not one.startswith(PUBLIC)]

    async def chooses(self, thread: Any, project: str) -> None:
        question = await self.office.answered(thread, "Which project")
        self.people["ann"].clicks(question, project)

    async def doubts(self, thread: Any) -> None:
        live = await self.office.answered(thread, "begun")
        self.people["ann"].clicks(live, "Wrong project?")

    async def copies(self, thread: Any) -> None:
        """Let Bo post a copy of our live message, and stop there."""
        ours = await self.office.answered(thread, "begun")
        self.office.bo.reacts(self.office.bo.says(thread.thread, ours.text), "❌")

    def hinted(self, by: str = "ann") -> list[str]:
        """What they alone were told."""
        return self.confided(by)

    def confided(self, by: str = "ann") -> list[str]:
        reader = self.people[by]
        return [one.text for one in self.office.ours(reader.direct(self.office.app), reader)]


@asynccontextmanager
async def discord_talk(town: Town, _: Any) -> AsyncIterator[DiscordTalk]:
    async with discord_rig.open_office(town) as office:
        yield DiscordTalk(office)
