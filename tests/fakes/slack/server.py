"""A Slack: a real server on 127.0.0.1 with workspaces, people, the Web API and Socket Mode."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

from aiohttp import web

from tests.fakes.slack import methods_conversations, methods_files, methods_views
from tests.fakes.slack.bad import Bad, BadDays, Mishap
from tests.fakes.slack.delivery import Delivery, Outgoing
from tests.fakes.slack.events import Events
from tests.fakes.slack.installed import DEFAULT_SCOPES, App, Install, Stamps
from tests.fakes.slack.interactions import Interactions
from tests.fakes.slack.limits import RateLimits
from tests.fakes.slack.messages import Messages
from tests.fakes.slack.methods_rest import AgentSession
from tests.fakes.slack.people import Person
from tests.fakes.slack.web_api import WebApi
from tests.fakes.slack.world import Channel, File, Kind, Message, Workspace

METHOD_FILES = (methods_conversations, methods_files, methods_views)
"""Importing them registers their methods."""
BODY_BYTES_MAX = 64 * 1024 * 1024


class FakeSlack:
    """Everything there is; tests make workspaces and people, and let these act."""

    def __init__(self) -> None:
        self.stamps = Stamps()
        token = f"xapp-1-{self.stamps.new('A')}"
        self.app = App(
            id=self.stamps.new("A"), app_tokens={token: frozenset({"connections:write"})}
        )
        self.url = ""
        self.workspaces: list[Workspace] = []
        self.files: dict[str, File] = {}
        self.sessions: dict[tuple[str, str], AgentSession] = {}
        """Agent sessions by channel and thread."""
        self.orphans = True
        """Whether one may answer what is not there (it is then seen nowhere), or is refused."""
        self.limits = RateLimits()
        self.bad = BadDays()
        self.events = Events(self)
        self.messages = Messages(self)
        self.out = Outgoing(self)
        self.interactions = Interactions(self)
        self.web = WebApi(self)
        self.crashes: list[BaseException] = []
        """What went wrong in here; leaving the Slack raises the first."""
        self._moved = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def api_url(self) -> str:
        """What `AsyncWebClient` takes as its `base_url`."""
        return f"{self.url}/api/"

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.router.add_route("*", "/api/{method}", self.web.handle)
        application.router.add_get("/link/", self.out.sockets.link)
        application.router.add_post("/upload/v1/{file}", partial(methods_files.upload, self))
        download = partial(methods_files.download, self)
        application.router.add_get("/files-pri/{file}/{name}", download)
        application.router.add_get("/files-pri/{file}/download/{name}", download)
        application.router.add_post("/response/{team}/{number}", self.interactions.respond)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        await self.out.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.out.stop()
        assert self._runner is not None
        await self._runner.cleanup()
        if self.crashes:
            raise self.crashes.pop()

    def workspace(self, name: str, *, enterprise_id: str | None = None) -> Workspace:
        team = Workspace(
            slack=self, id=self.stamps.new("T"), name=name, enterprise_id=enterprise_id
        )
        self.workspaces.append(team)
        return team

    def install(self, team: Workspace, scopes: frozenset[str] = DEFAULT_SCOPES) -> Install:
        """Install the app in a workspace; its token is the answer's."""
        bot_id = self.stamps.new("B")
        user = self.person(team, self.app.name, is_bot=True, bot_id=bot_id, app_id=self.app.id)
        team.install = Install(
            app=self.app,
            team=team,
            user=user,
            bot_id=bot_id,
            token=f"xoxb-{team.id}-{user.id}",
            scopes=set(scopes),
        )
        return team.install

    def person(self, team: Workspace, name: str, **more: object) -> Person:
        person = Person(slack=self, team=team, id=self.stamps.new("U"), name=name, **more)  # type: ignore[arg-type]
        team.people.append(person)
        return person

    def channel(
        self,
        team: Workspace,
        name: str,
        *members: Person,
        private: bool = False,
        shared_with: tuple[Workspace, ...] = (),
    ) -> Channel:
        """A channel with these members; `shared_with` other workspaces by Slack Connect."""
        channel = Channel(
            id=self.stamps.new("C"),
            name=name,
            kind="group" if private else "channel",
            team=team,
            members=list(members),
            shared_with=list(shared_with),
            creator=members[0] if members else None,
        )
        for each in channel.teams:
            each.channels.append(channel)
        return channel

    def direct(self, *people: Person) -> Channel:
        """The direct messages between these people, as they are or begun now."""
        everybody = list(dict.fromkeys(people))
        for channel in everybody[0].team.channels:
            if channel.kind in ("im", "mpim") and set(channel.members) == set(everybody):
                return channel
        kind: Kind = "im" if len(everybody) <= 2 else "mpim"
        channel = Channel(
            id=self.stamps.new("D" if kind == "im" else "G"),
            name="" if kind == "im" else "mpdm-" + "--".join(one.name for one in everybody),
            kind=kind,
            team=everybody[0].team,
            members=everybody,
        )
        for team in dict.fromkeys(person.team for person in everybody):
            team.channels.append(channel)
            if team is not channel.team:
                channel.shared_with.append(team)
        return channel

    def joins(self, channel: Channel, person: Person, inviter: Person | None = None) -> None:
        """Add somebody to a channel, which says so in it."""
        channel.members.append(person)
        event: dict[str, object] = {
            "type": "member_joined_channel",
            "user": person.id,
            "channel": channel.id,
            "channel_type": "C" if channel.kind == "channel" else "G",
            "team": person.team.id,
        }
        if inviter is not None:
            event["inviter"] = inviter.id
        self.events.tell(event, channel)
        self.notes(channel, person, "channel_join", "has joined the channel")

    def leaves(self, channel: Channel, person: Person, kicker: Person | None = None) -> None:
        """Take somebody out of a channel; an app that is taken out is told so itself."""
        channel.members.remove(person)
        private = channel.kind == "group"
        left = {"type": "member_left_channel", "user": person.id, "channel": channel.id}
        left |= {"channel_type": "G" if private else "C", "team": person.team.id}
        self.events.tell(left, channel)
        if person.team.install and person.team.install.user is person:
            gone = {"type": "group_left" if private else "channel_left", "channel": channel.id}
            gone["actor_id"] = (kicker or person).id
            self.events.tell_install(gone, person.team.install, channel)
        self.notes(channel, person, "channel_leave", "has left the channel")

    def uninstall(self, install: Install) -> None:
        """Take the app out of a workspace; its token is dead at once."""
        install.revoked = True
        self.events.tell_install({"type": "app_uninstalled"}, install)
        tokens = {"oauth": [], "bot": [install.user.id]}
        self.events.tell_install({"type": "tokens_revoked", "tokens": tokens}, install)
        self.changed()

    def notes(self, channel: Channel, person: Person, subtype: str, text: str) -> None:
        """A line in a channel that nobody wrote."""
        message = Message(
            channel=channel,
            ts=self.stamps.ts(),
            author=person,
            text=f"{person.mention} {text}",
            subtype=subtype,
        )
        self.messages.post(message)

    def people(self) -> Iterator[Person]:
        return itertools.chain.from_iterable(team.people for team in self.workspaces)

    def installs(self) -> list[Install]:
        return [team.install for team in self.workspaces if team.install]

    def behave(self, method: str, *bad: Bad) -> None:
        """Let the next requests of a method meet these, one each."""
        self.bad.requests.setdefault(method, self.bad.new()).extend(bad)

    def mishap(self, name: str, *mishaps: Mishap) -> None:
        """Let the next deliveries of an event meet these, one each."""
        self.bad.deliveries.setdefault(name, self.bad.new()).extend(mishaps)

    def delivered(self, name: str) -> list[Delivery]:
        """What the app was told of this kind, acknowledged or not."""
        return [delivery for delivery in self.out.all if delivery.name == name]

    def changed(self) -> None:
        """Wake everybody who waits in `until`."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, true: Callable[[], object], seconds: float = 100) -> None:
        """Wait for a condition, which may become true with anything that happens here."""
        async with asyncio.timeout(seconds):
            while not true():
                await self._moved.wait()
