"""A project on a fake GitLab, and us as one of its members."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.chat.port import Content, Deadline, Live
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.marks import Marks
from tests.fakes.gitlab import DEVELOPER, FakeGitLab
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.world import Noteable, Project


@dataclass(kw_only=True)
class Shop:
    """A project with Ann, Bo and us in it, and a merge request of Ann's."""

    gitlab: FakeGitLab
    ann: Person
    bo: Person
    us: Person
    project: Project
    request: Noteable
    client: Client
    forge: GitLabForge

    async def post(self, place: str, text: str = "hello", *, mark: str = "m", **more) -> str:
        content = Content(text=text, **more)
        return await self.forge.post(place, content, mark, Deadline.after(10))

    async def edit(self, place: str, ref: str, text: str, **more) -> None:
        await self.forge.edit(place, ref, Content(text=text, **more), Deadline.after(10))

    async def state(self, live: Live, text: str, ref: str = "") -> str:
        """Set the state of a turn on the merge request."""
        if not ref:
            return await self.post(self.request.place, text, live=live)
        await self.edit(self.request.place, ref, text, live=live)
        return ref


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    async with FakeGitLab() as gitlab:
        ann, bo = gitlab.person("ann"), gitlab.person("bo")
        us = gitlab.person("ona-bot", is_bot=True)
        members = dict.fromkeys((ann, bo, us), DEVELOPER)
        project = gitlab.project("acme/api", members)
        client = Client(gitlab.url, us.token)
        yield Shop(
            gitlab=gitlab,
            ann=ann,
            bo=bo,
            us=us,
            project=project,
            request=ann.opens(project),
            client=client,
            forge=GitLabForge(client, Marks(b"secret")),
        )
        client.close()
