"""A project on the fake GitLab, and the real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gitlab as sdk
import pytest
from gitlab.exceptions import GitlabError

from tests.fakes.gitlab import DEVELOPER, FakeGitLab
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.world import Noteable, Project


@dataclass(kw_only=True)
class Yard:
    """A project with Ann and a bot in it."""

    gitlab: FakeGitLab
    ann: Person
    bot: Person
    project: Project
    request: Noteable
    client: sdk.Gitlab

    async def ask(self, act: Callable[[Any], Any]) -> Any:
        """Do something with the SDK's project, in a thread."""
        return await asyncio.to_thread(lambda: act(self.client.projects.get("acme/api", lazy=True)))

    async def refused(self, act: Callable[[Any], Any]) -> int:
        """The status with which something is refused."""
        with pytest.raises(GitlabError) as raised:
            await self.ask(act)
        return raised.value.response_code or 0


@pytest.fixture
async def yard() -> AsyncIterator[Yard]:
    async with FakeGitLab() as gitlab:
        ann, bot = gitlab.person("ann"), gitlab.person("bot", is_bot=True)
        project = gitlab.project("acme/api", {ann: DEVELOPER, bot: DEVELOPER})
        client = sdk.Gitlab(gitlab.url, private_token=bot.token, keep_base_url=True)
        yield Yard(
            gitlab=gitlab,
            ann=ann,
            bot=bot,
            project=project,
            request=ann.opens(project),
            client=client,
        )
        client.session.close()
