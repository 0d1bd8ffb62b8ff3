"""A project of ours on a forge, where people do all that automations can wait for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.chat.port import Unavailable
from adapters.forge.github import event_polling as github_polling
from adapters.forge.github.app import App
from adapters.forge.github.happening import EventReader as GitHubReader
from adapters.forge.github.hooks import GitHubHooks
from adapters.forge.github.polling import GitHubPolling
from adapters.forge.github.port import GitHubForge
from adapters.forge.github.reading import Reader
from adapters.forge.gitlab.event_polling import GitLabEvents
from adapters.forge.gitlab.happening import EventReader as GitLabReader
from adapters.forge.gitlab.hooks import GitLabHooks
from adapters.forge.gitlab.polling import GitLabPolling
from adapters.forge.gitlab.reading import Reader as NoteReader
from adapters.forge.marks import Marks
from adapters.forge.port import ForgePort
from bot.automate.triggers import forge_events
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.govern.rights import Rights
from bot.store.cursors import StoredCursors
from bot.store.ids import new_id
from tests.fakes.github import Bad as GitHubBad
from tests.fakes.github import FakeGitHub
from tests.fakes.github.hooks import ALL, Delivery
from tests.fakes.github.people import Repository
from tests.fakes.github.program import Emulator
from tests.fakes.gitlab import DEVELOPER
from tests.fakes.gitlab import Bad as GitLabBad
from tests.fakes.gitlab.happening import Deeds
from tests.integration.conftest import DEMO, Town
from tests.integration.forge.gitlab_rig import Shop, open_shop

Missing = Callable[[set[str]], Awaitable[set[str]]]
SECRET = "a secret of webhooks"
TRIGGERS: dict[str, dict[str, Any]] = {
    "pull_request": {
        "pull_request": [
            "opened",
            "updated",
            "ready",
            "approved",
            "merged",
            "closed",
            "review_requested",
        ],
        "drafts": True,
    },
    "push": {"push": {"branches": ["*"]}},
    "issue_labelled": {"issue_labelled": ["bug"]},
    "ci_failed": {"ci_failed": {"branches": ["*"]}},
}
DEFINITION = '{"name": "watch", "steps": [{"prompt": "look"}], "coalesce_seconds": 7}'


class Place(Protocol):
    """A repository of a forge with people in it."""

    surface: str
    name: str
    url: str
    port: ForgePort

    async def hear(self, keys: set[str], missing: Missing) -> None:
        """Take the webhooks, until nothing of this is missing."""

    async def poll(self) -> None: ...
    async def everything(self) -> set[str]:
        """Do all that there is to do; the keys of it."""

    async def stranger_labels(self) -> None:
        """Let somebody who may not write label an issue."""

    async def from_fork(self) -> None: ...
    async def opens(self, branch: str) -> str:
        """Open a merge request from a branch; its key."""

    async def merges(self, number: int) -> None: ...

    async def anns_account(self) -> str:
        """Its id."""

    def silence(self) -> None:
        """Let the forge not say once what people may do."""


@dataclass(kw_only=True)
class Watch:
    """Triggers of an automation, and what became of what happened."""

    town: Town
    place: Place

    async def triggers(self, **more: dict[str, Any]) -> None:
        """Let one automation wait for everything, with these triggers changed."""
        automation = new_id()
        await self.town.rows(
            "INSERT INTO automation (id, short, project_id, name, definition, state)"
            " VALUES (:id, 'a-1', :project, 'watch', CAST(:definition AS jsonb), 'active')"
            " RETURNING id",
            id=automation,
            project=DEMO,
            definition=DEFINITION,
        )
        for number, (kind, options) in enumerate({**TRIGGERS, **more}.items()):
            await self.town.rows(
                "INSERT INTO automation_trigger (id, short, automation_id, place, kind, options)"
                " VALUES (:id, :short, :automation, :place, :kind, CAST(:options AS jsonb))"
                " RETURNING id",
                id=new_id(),
                short=f"t-{number}",
                automation=automation,
                place=number,
                kind=kind,
                options=json.dumps(options),
            )

    async def keys(self) -> list[str]:
        rows = await self.town.rows("SELECT key FROM trigger_event ORDER BY key")
        return [key for (key,) in rows]

    async def missing(self, keys: set[str]) -> set[str]:
        return keys - set(await self.keys())

    async def facts(self, key: str) -> dict[str, Any]:
        return dict(
            await self.town.value("SELECT facts FROM trigger_event WHERE key = :key", key=key)
        )


def chats_of(town: Town, port: ForgePort, surface: str) -> Chats:
    rights = Rights(town.database, {surface: port})
    inbox = Inbox(town.database, prompt_bytes_max=100_000, rights=rights)
    return Chats(town.database, inbox, {surface: port}, mention="ona")


@dataclass(kw_only=True)
class OnGitHub:
    town: Town
    github: FakeGitHub
    shop: Repository
    port: GitHubForge
    hooks: GitHubHooks
    polling: GitHubPolling
    chats: Chats
    surface: str = "github"
    taken: int = 0
    pulls: dict[int, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.shop.name

    @property
    def url(self) -> str:
        return f"{self.github.url}/{self.shop.name}.git"

    async def hear(self, keys: set[str], missing: Missing) -> None:
        async with asyncio.timeout(100):
            while True:
                fresh = self.github.hooks.deliveries[self.taken :]
                self.taken += len(fresh)
                for delivery in fresh:
                    await self._take(delivery)
                if not fresh and not await missing(keys):
                    return
                await asyncio.sleep(0.05)

    async def _take(self, delivery: Delivery) -> None:
        while True:
            try:
                await self.hooks.take(delivery.headers, delivery.body, self.chats.hear)
                return
            except Unavailable as error:
                # This machine was too slow for GitHub's ten seconds: here it delivers again.
                if "in time" not in str(error):
                    raise

    async def poll(self) -> None:
        await self.polling.poll(self.chats.hear)

    async def everything(self) -> set[str]:
        ann, bo, shop = self.github.ann, self.github.bo, self.shop
        pull = await shop.pull(by=ann, draft=True)
        before = await pull.head()
        head = await pull.push()
        await pull.is_ready(ann)
        await pull.asks_review(ann, bo)
        review = await bo.reviews(pull, "fine", event="APPROVE")
        await pull.ends(ann, merged=True)
        other = await shop.pull(by=ann)
        await other.ends(ann, merged=False)
        closed = (await ann.asks("GET", other.path))["closed_at"]
        issue = await shop.issue()
        await issue.labels(ann, "bug", "other")
        pushed = await shop.write(ann)
        return {
            f"pull_request/{pull.number}/opened",
            f"pull_request/{pull.number}/updated/{head}",
            f"pull_request/{pull.number}/ready/{head}",
            f"pull_request/{pull.number}/review_requested/bo/{head}",
            f"pull_request/{pull.number}/approved/{review.id}",
            f"pull_request/{pull.number}/merged",
            f"pull_request/{other.number}/opened",
            f"pull_request/{other.number}/closed/{closed}",
            self._labelled(issue.number),
            self._pushed(head, before),
            self._pushed(pushed),
            *await self._failures(pushed),
        }

    async def _failures(self, commit: str) -> set[str]:
        self.github.ci.branches[commit] = "main"
        run = await self.github.ci.runs(self.shop, commit, "unit")
        await self.github.ci.ends(self.shop, run, "failure")
        await self.github.ci.sets(self.shop, commit, "deploy", "failure")
        status = self.github.ci.statuses[self.shop.name, commit][-1]["id"]
        return {f"ci/{commit}/check/{run}", f"ci/{commit}/status/{status}"}

    def _labelled(self, number: int) -> str:
        told = self.github.happenings.told[self.shop.name]
        (event,) = (
            one["id"] for one in told if one["event"] == "labeled" and one["label"]["name"] == "bug"
        )
        return f"issue/{number}/labelled/bug/{event}"

    def _pushed(self, after: str, before: str = "") -> str:
        pushes = self.github.happenings.pushes[self.shop.name]
        (push,) = (one for one in pushes if one["after"] == after)
        assert push["before"].startswith(before)
        branch = push["ref"].removeprefix("refs/heads/")
        return f"push/{branch}/{push['before'][:12]}..{after}"

    async def stranger_labels(self) -> None:
        issue = await self.shop.issue()
        await issue.labels(self.github.acme, "none")
        told = self.github.happenings.told[self.shop.name]
        eve = await self.github.happenings.user("eve")
        # GitHub would not let her; that is not what keeps her from starting something.
        told.append({**told[-1], "id": 1, "label": {"name": "bug"}, "actor": eve})

    async def from_fork(self) -> None:
        await self.shop.pull_from_fork(self.github.bo)

    async def opens(self, branch: str) -> str:
        pull = await self.shop.pull(branch, by=self.github.ann)
        self.pulls[pull.number] = pull
        return f"pull_request/{pull.number}/opened"

    async def merges(self, number: int) -> None:
        await self.pulls[number].ends(self.github.ann, merged=True)

    async def anns_account(self) -> str:
        return str(await self.github.ann.id())

    def silence(self) -> None:
        self.github.behave("GET", r"/collaborators/", GitHubBad(status=502))


@asynccontextmanager
async def on_github(town: Town, emulator: Emulator) -> AsyncIterator[OnGitHub]:
    async with FakeGitHub(emulator) as github:
        github.hooks.events = ALL
        shop = await github.repository()
        for person in (github.ann, github.bo):
            await shop.let(person, "write")
        app = App(app_id=str(github.app.id), private_key=github.private_key, api_url=github.url)
        with closing(app):
            port = GitHubForge(app, Marks(b"secret"))
            happens = GitHubReader(app, forge_events.wanted(town.database, "github", port))
            reader, cursors = Reader(app, mention="ona"), StoredCursors(town.database, "github")

            async def repositories() -> list[str]:
                return [shop.name]

            events = github_polling.GitHubEvents(app, happens, cursors)
            yield OnGitHub(
                town=town,
                github=github,
                shop=shop,
                port=port,
                hooks=GitHubHooks(reader, secret=github.hooks.secret.encode(), happens=happens),
                polling=GitHubPolling(app, reader, cursors, repositories, happens=events),
                chats=chats_of(town, port, "github"),
            )


@dataclass(kw_only=True)
class OnGitLab:
    town: Town
    shop: Shop
    hooks: GitLabHooks
    poller: GitLabPolling
    chats: Chats
    deeds: Deeds
    surface: str = "gitlab"
    taken: int = field(default=0)

    @property
    def port(self) -> ForgePort:
        return self.shop.forge

    @property
    def name(self) -> str:
        return self.shop.project.path

    @property
    def url(self) -> str:
        return self.shop.project.clone_url

    async def hear(self, keys: set[str], missing: Missing) -> None:
        fresh = self.shop.gitlab.hooks.all[self.taken :]
        self.taken += len(fresh)
        for delivery in fresh:
            await self.hooks.take(delivery.headers, delivery.body, self.chats.hear)
        assert await missing(keys) == set()

    async def poll(self) -> None:
        await self.poller.once(self.chats.hear)

    async def everything(self) -> set[str]:
        ann, bo, project, deeds = self.shop.ann, self.shop.bo, self.shop.project, self.deeds
        request = deeds.opens(ann, project, title="Draft: Mend it")
        first = request.sha
        head = deeds.pushes(ann, request)
        deeds.is_ready(ann, request)
        deeds.asks_review(ann, request, bo)
        deeds.approves(bo, request)
        deeds.ends(ann, request, merged=True)
        other = deeds.opens(ann, project, branch="other")
        deeds.ends(ann, other, merged=False)
        issue = bo.reports(project)
        deeds.labels(ann, issue, "bug", "other")
        pushed = deeds.commits(ann, project)
        pipeline = deeds.fails(ann, project, "main", pushed)
        return {
            f"pull_request/{request.iid}/opened",
            f"pull_request/{request.iid}/updated/{head}",
            f"pull_request/{request.iid}/ready/{head}",
            f"pull_request/{request.iid}/review_requested/bo/{head}",
            f"pull_request/{request.iid}/approved/{bo.id}/{head}",
            f"pull_request/{request.iid}/merged",
            f"pull_request/{other.iid}/opened",
            f"pull_request/{other.iid}/closed/{other.sha}",
            f"issue/{issue.iid}/labelled/bug/{issue.label_events[0].id}",
            f"push/work/{first[:12]}..{head}",
            f"push/main/{'0' * 12}..{pushed}",
            f"ci/{pushed}/pipeline/{pipeline.id}",
        }

    async def stranger_labels(self) -> None:
        gus = self.shop.gitlab.person("gus")
        self.deeds.labels(gus, gus.reports(self.shop.project), "bug")

    async def from_fork(self) -> None:
        fork = self.shop.gitlab.project("bo/api", {self.shop.bo: DEVELOPER}, visibility="public")
        self.deeds.opens(self.shop.bo, self.shop.project, source=fork)

    async def opens(self, branch: str) -> str:
        request = self.deeds.opens(self.shop.ann, self.shop.project, branch=branch)
        return f"pull_request/{request.iid}/opened"

    async def merges(self, number: int) -> None:
        (request,) = (one for one in self.shop.project.noteables if one.iid == number)
        self.deeds.ends(self.shop.ann, request, merged=True)

    async def anns_account(self) -> str:
        return str(self.shop.ann.id)

    def silence(self) -> None:
        self.shop.gitlab.bad.behave("members.show", GitLabBad(status=502))


@asynccontextmanager
async def on_gitlab(town: Town) -> AsyncIterator[OnGitLab]:
    async with open_shop() as shop:
        client = shop.client
        happens = GitLabReader(client, forge_events.wanted(town.database, "gitlab", shop.forge))
        reader, cursors = NoteReader(client), StoredCursors(town.database, "gitlab")

        async def repositories() -> list[str]:
            return [shop.project.path]

        # Nobody listens at that address: the test carries what was sent.
        hook = shop.gitlab.hook(shop.project, "http://127.0.0.1:9/", token=SECRET)
        hook.other_events = True
        shop.project.noteables.clear()
        yield OnGitLab(
            town=town,
            shop=shop,
            hooks=GitLabHooks(reader, SECRET, happens),
            poller=GitLabPolling(
                client,
                reader,
                repositories,
                cursors,
                happens=GitLabEvents(client, happens, cursors),
            ),
            chats=chats_of(town, shop.forge, "gitlab"),
            deeds=Deeds(shop.gitlab),
        )
