"""CI: check runs of the other app, jobs of Actions among them, statuses, and a store of logs.

The emulator has no commit statuses, no annotations and no logs; its check runs are of one app each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.github.requests import NOT_FOUND, Refused, Reply, Request
from tests.fakes.github.routes import REPO, route

if TYPE_CHECKING:
    from tests.fakes.github.people import Repository
    from tests.fakes.github.server import FakeGitHub

ACTIONS = "github-actions"
_ids = itertools.count(8_000_001)


@dataclass(kw_only=True)
class Ci:
    github: FakeGitHub = field(repr=False)
    may_read_actions: bool = True
    """Whether the app has the permission that logs need."""
    logs: dict[int, str] = field(default_factory=dict)
    """By job."""
    annotations: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    """Of the commits, where somebody looks for that."""
    shown: list[str] = field(default_factory=list)
    """What those who read the store showed of themselves."""

    async def runs(
        self,
        repository: Repository,
        head: str,
        name: str,
        conclusion: str = "",
        *,
        log: str | None = None,
        summary: str = "",
    ) -> int:
        """Let a check run on a commit, ended when it has a conclusion; a job when it has a log."""
        body: dict[str, Any] = {"name": name, "head_sha": head, "status": "in_progress"}
        if summary:
            body["output"] = {"title": name, "summary": summary}
        if conclusion:
            body |= {"status": "completed", "conclusion": conclusion}
        path = f"/repos/{repository.name}/check-runs"
        run = int((await self.github.by_other_app("POST", path, body))["id"])
        if log is not None:
            self.logs[run] = log
            self.github.world.checks[repository.name, run]["app"]["slug"] = ACTIONS
        return run

    async def ends(self, repository: Repository, run: int, conclusion: str) -> None:
        """Let a check come to its end."""
        body = {"status": "completed", "conclusion": conclusion}
        path = f"/repos/{repository.name}/check-runs/{run}"
        await self.github.by_other_app("PATCH", path, body)

    def says(
        self, repository: Repository, head: str, context: str, state: str, **more: Any
    ) -> dict[str, Any]:
        """Let something outside of GitHub set a status."""
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        status = {"id": next(_ids), "context": context, "state": state, "updated_at": at, **more}
        self.statuses.setdefault((repository.name, head), []).append(status)
        return status

    async def sets(self, repository: Repository, head: str, context: str, state: str) -> None:
        """The same, with its webhook."""
        status = self.says(repository, head, context, state)
        branch = {"name": self.branches[head], "commit": {"sha": head}}
        about = await repository.owner.asks("GET", f"/repos/{repository.name}")
        sender = await repository.owner.asks("GET", f"/users/{repository.owner.login}")
        told = {"repository": about, "sender": sender, "branches": [branch]}
        await self.github.hooks.deliver("status", {**status, "sha": head, **told})

    def head_of(self, ref: str) -> str:
        """The commit that a branch is at, or the ref itself."""
        return next((sha for sha, branch in self.branches.items() if branch == ref), ref)

    async def stored(self, request: web.Request) -> web.Response:
        """Give out a log: whoever knows its address may read it."""
        self.shown.append(request.headers.get("Authorization", ""))
        text = self.logs.get(int(request.match_info["job"]))
        return web.Response(status=404) if text is None else web.Response(text=text)


@route("GET", REPO + r"/commits/([^/]+)/status")
async def status(github: FakeGitHub, _: Request, repository: str, sha: str) -> Reply:
    sha = github.ci.head_of(sha)
    newest = {one["context"]: one for one in github.ci.statuses.get((repository, sha), [])}
    return Reply(data={"sha": sha, "state": "pending", "statuses": list(newest.values())})


@route("GET", REPO + r"/check-runs/(\d+)/annotations")
async def annotations(github: FakeGitHub, _: Request, __: str, run: str) -> Reply:
    return Reply(data=github.ci.annotations.get(int(run), []))


@route("GET", REPO + r"/actions/jobs/(\d+)/logs")
async def job_log(github: FakeGitHub, _: Request, __: str, job: str) -> Reply:
    if not github.ci.may_read_actions:
        raise Refused(403, "Resource not accessible by integration")
    if int(job) not in github.ci.logs:
        raise Refused(404, NOT_FOUND)
    return Reply(status=302, headers={"Location": f"{github.url}/_store/logs/{job}"})
