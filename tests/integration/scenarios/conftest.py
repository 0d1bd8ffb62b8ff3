"""An installation that one or more surfaces talk to."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from adapters.forge import polled
from bot.config import Settings
from bot.govern import rights
from bot.store.ids import new_id
from tests.integration.chat.serving import serving
from tests.integration.conftest import Town
from tests.integration.pool.conftest import Yard, Yards
from tests.integration.scenarios.chats import discord_talk, slack_talk
from tests.integration.scenarios.forges import (
    PolledGitHubTalk,
    PolledGitLabTalk,
    github_talk,
    gitlab_talk,
)
from tests.integration.scenarios.talks import Talk
from vmpool.ssh import Authority

TALKS: dict[str, Callable[[Town, Any], AbstractAsyncContextManager[Any]]] = {
    "slack": slack_talk,
    "discord": discord_talk,
    "github": github_talk,
    "gitlab": gitlab_talk,
    PolledGitHubTalk.name: partial(github_talk, made=PolledGitHubTalk),
    PolledGitLabTalk.name: partial(gitlab_talk, made=PolledGitLabTalk),
}
POLL_SECONDS = 0.2


@pytest.fixture(autouse=True)
def times(monkeypatch):
    """On a slow machine a forge may take a while to say who may do what; nobody waits for polls."""
    monkeypatch.setattr(rights, "ASK_SECONDS_MAX", 30.0)
    monkeypatch.setattr(polled, "POLL_SECONDS", POLL_SECONDS)


@pytest.fixture
async def talk(request, town) -> AsyncIterator[Talk]:
    """The surface that the test is about, and an installation that it talks to."""
    program = request.getfixturevalue("github_emulator") if "github" in request.param else None
    async with TALKS[request.param](town, program) as talk, installed(town, talk):
        yield talk


@pytest.fixture
async def yard(town, tmp_path) -> AsyncIterator[Yard]:
    """A host with machines that rest."""
    async with AsyncExitStack() as stack:
        yield Yards(town, stack, await Authority.load(tmp_path / "yard-ca")).make()


@asynccontextmanager
async def installed(town: Town, *talks: Talk) -> AsyncIterator[None]:
    """One installation for all of them, in which a person is the same on each."""
    people: dict[tuple[str, str], Any] = {}
    for talk in talks:
        for name, (surface, account) in talk.accounts().items():
            people[surface, account] = (town.people[name.title()], name)
        if clone_url := getattr(talk, "clone_url", ""):
            # Its conversations are about this project alone.
            await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=clone_url)
    for (surface, account), (person, name) in people.items():
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, :surface, :account, :name) RETURNING id",
            id=new_id(),
            person=person,
            surface=surface,
            account=account,
            name=name,
        )

    async def hooked(url: str) -> None:
        for talk in talks:
            await talk.hooked(url)

    settings = Settings(**{key: one for talk in talks for key, one in talk.settings.items()})
    async with serving(town, settings, hooked=hooked, runs=True):
        for talk in talks:
            await talk.ready()
        yield
