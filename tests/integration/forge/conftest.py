"""A GitHub with people in it, and our app there."""

from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.chat.port import Content, Deadline, Live
from adapters.forge.github.app import App
from adapters.forge.github.hooks import GitHubHooks
from adapters.forge.github.polling import GitHubPolling
from adapters.forge.github.port import GitHubForge
from adapters.forge.github.reading import Reader
from adapters.forge.marks import Marks
from tests.fakes.github import FakeGitHub
from tests.fakes.github.people import Repository, Thread
from tests.integration.forge.github_rig import Ears, Kept

MARKS = Marks(b"secret")


class Desk:
    """Our port, at one thread."""

    def __init__(self, forge: GitHubForge) -> None:
        self.forge = forge

    async def post(self, place, text="hello", mark="m1", **more) -> str:
        content = Content(text=text, **more)
        return await self.forge.post(str(place), content, mark, Deadline.after(10))

    async def edit(self, place, ref, text, **more) -> None:
        await self.forge.edit(str(place), ref, Content(text=text, **more), Deadline.after(10))

    async def find(self, place, mark="m1") -> str | None:
        return await self.forge.find(str(place), mark, Deadline.after(10))

    async def react(self, message, sign) -> None:
        await self.forge.react(message.place, message.ref, sign, Deadline.after(10))

    async def show(self, thread: Thread, live: Live, mark="m1") -> str:
        return await self.post(thread.place, "state", mark, live=live)


@pytest.fixture
async def github(github_emulator) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(github_emulator) as github:
        yield github


@pytest.fixture
def app(github) -> Iterator[App]:
    app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
    yield app
    app.close()


@pytest.fixture
def desk(app) -> Desk:
    return Desk(GitHubForge(app, MARKS))


@pytest.fixture
async def shop(github) -> Repository:
    shop = await github.repository()
    await shop.let(github.ann, "write")
    return shop


@pytest.fixture
async def pull(shop) -> Thread:
    return await shop.pull()


@pytest.fixture
def reader(app) -> Reader:
    return Reader(app, mention="ona")


@pytest.fixture
def cursors() -> Kept:
    return Kept()


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def follow(app, reader, cursors, shop):
    """Makes what polls the repositories of these names, or the shop."""

    def polling(*names: str, **more) -> GitHubPolling:
        async def repositories():
            return names or [shop.name]

        return GitHubPolling(app, reader, cursors, repositories, **more)

    return polling


@pytest.fixture
def polling(follow) -> GitHubPolling:
    return follow()


@pytest.fixture
def hooks(github, reader) -> GitHubHooks:
    return GitHubHooks(reader, secret=github.hooks.secret.encode())
