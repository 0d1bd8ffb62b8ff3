"""A GitLab: a real server on 127.0.0.1 with projects, people, the REST API and webhooks."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable
from typing import Self

from aiohttp import web

from tests.fakes.gitlab import happening, routes_merge, routes_notes, routes_rest, routes_tokens
from tests.fakes.gitlab.bad import BadDays
from tests.fakes.gitlab.clock import Clock
from tests.fakes.gitlab.hooks import Hooks
from tests.fakes.gitlab.limits import RateLimits
from tests.fakes.gitlab.notes import Notes
from tests.fakes.gitlab.people import Person
from tests.fakes.gitlab.rest import Rest
from tests.fakes.gitlab.world import Hook, Kind, Noteable, Project, Status, Visibility

ROUTE_FILES = (happening, routes_merge, routes_notes, routes_rest, routes_tokens)
"""Importing them registers their endpoints."""
BODY_BYTES_MAX = 32 * 1024 * 1024


class FakeGitLab:
    """Everything there is; tests make projects and people, and let these act."""

    def __init__(self) -> None:
        self.url = ""
        self.clock = Clock()
        self.people: list[Person] = []
        self.projects: list[Project] = []
        self.commits: set[str] = set()
        self.issued: list[str] = []
        """Every token of a project that was ever made."""
        self.knows_internal = True
        """Whether it is a version that has internal notes; others make them for everybody."""
        self.limits = RateLimits(clock=self.clock)
        self.bad = BadDays()
        self.notes = Notes(self)
        self.hooks = Hooks(self)
        self.rest = Rest(self)
        self.crashes: list[BaseException] = []
        """What went wrong in here; leaving the GitLab raises the first."""
        self._ids = itertools.count(101)
        self._moved = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=BODY_BYTES_MAX)
        application.add_routes(self.rest.routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hooks.stop()
        assert self._runner is not None
        await self._runner.cleanup()
        if self.crashes:
            raise self.crashes.pop()

    def person(self, username: str, *, is_bot: bool = False, state: str = "active") -> Person:
        """Somebody; a bot, or who needs one, has an access token."""
        number = self.new_id()
        person = Person(
            gitlab=self,
            id=number,
            username=username,
            name=username.title(),
            is_bot=is_bot,
            state=state,
            token=f"glpat-{number}",
        )
        self.people.append(person)
        return person

    def project(
        self, path: str, members: dict[Person, int], *, visibility: Visibility = "private"
    ) -> Project:
        """A project with the levels of access that its members have."""
        project = Project(
            id=self.new_id(),
            path=path,
            url=f"{self.url}/{path}",
            visibility=visibility,
            members=dict(members),
        )
        self.projects.append(project)
        return project

    def open(
        self,
        project: Project,
        kind: Kind,
        author: Person,
        *,
        branch: str = "",
        source: Project | None = None,
        confidential: bool = False,
    ) -> Noteable:
        """Make a merge request or an issue."""
        now = self.clock.now()
        iid = 1 + sum(one.kind == kind for one in project.noteables)
        made = Noteable(
            id=self.new_id(),
            iid=iid,
            kind=kind,
            project=project,
            author=author,
            title=f"Number {iid}",
            created_at=now,
            updated_at=now,
            confidential=confidential,
        )
        if kind == "merge_requests":
            made.source, made.branch, made.heads = source or project, branch, [self.new_sha()]
        project.noteables.append(made)
        return made

    def job(
        self,
        noteable: Noteable,
        name: str,
        status: str,
        *,
        trace: str | None = None,
        allow_failure: bool = False,
    ) -> Status:
        """Let a job stand on the newest commit of a merge request."""
        made = Status(
            id=self.new_id(),
            sha=noteable.sha,
            ref=noteable.branch,
            name=name,
            user=noteable.author,
            status=status,
            trace=trace,
            allow_failure=allow_failure,
        )
        noteable.project.statuses.append(made)
        return made

    def hook(self, project: Project, url: str, *, token: str = "", signing_token: str = "") -> Hook:
        """Have a project's events posted to `url` from now on."""
        hook = Hook(url=url, token=token, signing_token=signing_token)
        project.hooks.append(hook)
        return hook

    def new_id(self) -> int:
        return next(self._ids)

    def new_sha(self) -> str:
        sha = hashlib.sha1(str(self.new_id()).encode()).hexdigest()
        self.commits.add(sha)
        return sha

    def changed(self) -> None:
        """Wake everybody who waits in `until`."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, true: Callable[[], object], seconds: float = 100) -> None:
        """Wait for a condition, which may become true with anything that happens here."""
        async with asyncio.timeout(seconds):
            while not true():
                await self._moved.wait()
