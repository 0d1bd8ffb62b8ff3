"""A project on a fake GitLab, and us as one of its members."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from adapters.chat.incoming import Heard, Said
from adapters.chat.port import Content, Deadline, Live
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.hooks import SIGNING_PREFIX, GitLabHooks
from adapters.forge.gitlab.port import GitLabForge
from adapters.forge.gitlab.reading import Reader
from adapters.forge.hooks import HookRefused
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

    async def state(self, live: Live, text: str, ref: str = "", *, mark: str = "m") -> str:
        """Set the state of a turn on the merge request."""
        if not ref:
            return await self.post(self.request.place, text, live=live, mark=mark)
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


class KeptCursors:
    """Where the poll has read to, kept as long as this object."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.kept.get(name)

    async def put(self, name: str, value: str) -> None:
        self.kept[name] = value


class Ears:
    """What was heard, by one way of listening."""

    def __init__(self) -> None:
        self.all: list[Heard] = []
        self.deaf: Exception | None = None
        """What hearing raises next."""

    async def hear(self, heard: Heard) -> None:
        if self.deaf is not None:
            error, self.deaf = self.deaf, None
            raise error
        self.all.append(heard)

    @property
    def said(self) -> list[Said]:
        return [one for one in self.all if isinstance(one, Said)]

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.said]


@dataclass(kw_only=True)
class Receiver:
    """An address for webhooks, which hands deliveries on as the web application does."""

    hooks: GitLabHooks
    ears: Ears
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        try:
            await self.hooks.take(request.headers, await request.read(), self.ears.hear)
        except HookRefused as error:
            return web.Response(status=403, text=type(error).__name__)
        return web.Response(status=204)


@asynccontextmanager
async def receiving(shop: Shop, *, secret: str, **reading: Any) -> AsyncIterator[Receiver]:
    """Receive the webhooks of the shop's project."""
    receiver = Receiver(hooks=GitLabHooks(Reader(shop.client, **reading), secret), ears=Ears())
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/hooks/gitlab", receiver.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hooks/gitlab"
    is_signing = secret.startswith(SIGNING_PREFIX)
    shop.gitlab.hook(
        shop.project,
        receiver.url,
        token="" if is_signing else secret,
        signing_token=secret if is_signing else "",
    )
    try:
        yield receiver
    finally:
        await runner.cleanup()
