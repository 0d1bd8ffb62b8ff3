"""A small town on a Slack, and the real SDKs connected to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import FakeSlack
from tests.fakes.slack.installed import Install
from tests.fakes.slack.people import Person
from tests.fakes.slack.world import Channel, Workspace

EVENTS = [
    "agent_session_stopped",
    "app_home_opened",
    "app_mention",
    "channel_archive",
    "channel_left",
    "message",
    "member_joined_channel",
    "reaction_added",
    "reaction_removed",
]


@dataclass
class Town:
    slack: FakeSlack
    team: Workspace
    bot: Install
    ann: Person
    ben: Person
    general: Channel
    client: AsyncWebClient
    heard: list[dict[str, Any]] = field(default_factory=list)
    """Every event that the app's listeners got."""

    async def hears(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of a kind, once there are so many."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.heard if event["type"] == kind]

        await self.slack.until(lambda: len(found()) >= count)
        return found()

    def app(self) -> AsyncApp:
        """An app that hears everything and answers nothing."""
        app = AsyncApp(
            client=self.client,
            signing_secret=self.slack.app.signing_secret,
            ignoring_self_events_enabled=False,
        )

        async def hear(event: dict[str, Any]) -> None:
            self.heard.append(event)
            self.slack.changed()

        for kind in EVENTS:
            app.event(kind)(hear)
        return app

    @asynccontextmanager
    async def listening(
        self, app: AsyncApp | None = None, connections: int = 1
    ) -> AsyncIterator[AsyncApp]:
        """The app, connected by Socket Mode."""
        app = app or self.app()
        token, before = self.slack.app.token, len(self.slack.out.sockets.open)
        handlers = [
            AsyncSocketModeHandler(app, token, ping_interval=0.2) for _ in range(connections)
        ]
        try:
            for handler in handlers:
                await handler.connect_async()
            await self.slack.until(lambda: len(self.slack.out.sockets.open) == before + connections)
            yield app
        finally:
            for handler in handlers:
                await handler.close_async()


@asynccontextmanager
async def running_town() -> AsyncIterator[Town]:
    async with FakeSlack() as slack:
        team = slack.workspace("acme")
        bot = slack.install(team)
        ann, ben = slack.person(team, "ann"), slack.person(team, "ben")
        general = slack.channel(team, "general", ann, ben, bot.user)
        client = AsyncWebClient(token=bot.token, base_url=slack.api_url, retry_handlers=[])
        yield Town(slack, team, bot, ann, ben, general, client)


async def refused(request: Awaitable[Any]) -> str:
    """The error code that a request gets."""
    with pytest.raises(SlackApiError) as caught:
        await request
    return str(caught.value.response["error"])
