"""What happens in repositories: the lists of it that the emulator lacks, and webhooks it forgets.

Pushes and what becomes of pull requests and labels are noted as the requests for them pass by. A
merge is no push here, and GraphQL's way to make a pull request ready is one of REST.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.github.program import OWNER, token_of
from tests.fakes.github.requests import Reply, Request
from tests.fakes.github.routes import REPO, listed, route

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

_ids = itertools.count(7_000_001)


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(kw_only=True)
class Happenings:
    """By repository, the oldest first."""

    github: FakeGitHub = field(repr=False)
    pushes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def user(self, login: str) -> dict[str, Any]:
        return await self._get(f"/users/{login}")

    async def pushed(
        self, request: Request, repository: str, branch: str, before: str, after: str
    ) -> None:
        entry = {
            "id": next(_ids),
            "before": before,
            "after": after,
            "ref": f"refs/heads/{branch}",
            "timestamp": now(),
            "activity_type": "push",
            "actor": await self.user(request.actor.login),
        }
        self.pushes.setdefault(repository, []).append(entry)

    async def tell(
        self, request: Request, repository: str, number: int, event: str, **more: Any
    ) -> None:
        """Note something that happened to an issue or a pull request."""
        path = f"/repos/{repository}/pulls/{number}"
        issue = await self.find(path)
        if issue is not None:
            issue["pull_request"] = {"url": issue["url"]}
        else:
            issue = await self._get(f"/repos/{repository}/issues/{number}")
        user = await self.user(request.actor.login)
        entry = {"id": next(_ids), "event": event, "actor": user, "created_at": now(), **more}
        self.told.setdefault(repository, []).append({**entry, "issue": issue})

    async def find(self, path: str) -> Any:
        """What the emulator has there; None: nothing."""
        headers = {"Authorization": f"token {token_of(OWNER)}"}
        reply = await self.github.upstream.ask("GET", path, {}, None, headers)
        return reply.data if reply.status == 200 else None

    async def _get(self, path: str) -> Any:
        found = await self.find(path)
        assert found is not None, path
        return found

    async def deliver(
        self, request: Request, repository: str, event: str, payload: dict[str, Any]
    ) -> None:
        about = {
            "repository": await self._get(f"/repos/{repository}"),
            "sender": await self.user(request.actor.login),
        }
        if event == "push":
            # The emulator leaves the moment at which the repository was made.
            about["repository"]["pushed_at"] = int(datetime.now(UTC).timestamp())
        await self.github.hooks.deliver(event, {**payload, **about})


@route("GET", REPO + "/activity")
async def activity(github: FakeGitHub, request: Request, repository: str) -> Reply:
    return listed(github, request, github.happenings.pushes.get(repository, [])[::-1])


@route("GET", REPO + "/issues/events")
async def told(github: FakeGitHub, request: Request, repository: str) -> Reply:
    return listed(github, request, github.happenings.told.get(repository, [])[::-1])


@route("PUT", REPO + "/contents/(.+)")
async def written(github: FakeGitHub, request: Request, repository: str, _: str) -> Reply:
    branch = str(request.body.get("branch") or "main")
    head = await github.happenings.find(f"/repos/{repository}/git/ref/heads/{branch}")
    reply = await github.upstream.send(request)
    if reply.status < 300:
        before = head["object"]["sha"] if head else "0" * 40
        after = reply.data["commit"]["sha"]
        await github.happenings.pushed(request, repository, branch, before, after)
    return reply


@route("PUT", REPO + r"/pulls/(\d+)/update-branch")
async def updated(github: FakeGitHub, request: Request, repository: str, number: str) -> Reply:
    """The emulator tells nobody of it."""
    path, here = f"/repos/{repository}/pulls/{number}", github.happenings
    before = (await here.find(path))["head"]
    reply = await github.upstream.send(request)
    if reply.status >= 300:
        return reply
    pull = await here.find(path)
    branch, shas = before["ref"], (before["sha"], pull["head"]["sha"])
    ends = dict(zip(("before", "after"), shas, strict=True))
    if pull["head"]["repo"]["full_name"] == repository:
        await here.pushed(request, repository, branch, *shas)
        await here.deliver(request, repository, "push", {"ref": f"refs/heads/{branch}", **ends})
    told = {"action": "synchronize", "number": int(number), "pull_request": pull, **ends}
    await here.deliver(request, repository, "pull_request", told)
    return reply


@route("POST", REPO + r"/issues/(\d+)/labels")
async def labelled(github: FakeGitHub, request: Request, repository: str, number: str) -> Reply:
    reply = await github.upstream.send(request)
    if reply.status < 300:
        for name in request.body["labels"]:
            label = {"name": name, "color": "ededed"}
            await github.happenings.tell(request, repository, int(number), "labeled", label=label)
    return reply


@route("PATCH", REPO + r"/pulls/(\d+)")
async def changed(github: FakeGitHub, request: Request, repository: str, number: str) -> Reply:
    here = github.happenings
    before = await here.find(request.path)
    reply = await github.upstream.send(request)
    if reply.status >= 300:
        return reply
    if before["state"] != reply.data["state"] == "closed":
        await here.tell(request, repository, int(number), "closed")
    if before["draft"] and not reply.data["draft"]:
        await here.tell(request, repository, int(number), "ready_for_review")
        told = {"action": "ready_for_review", "number": int(number), "pull_request": reply.data}
        await here.deliver(request, repository, "pull_request", told)
    return reply


@route("PUT", REPO + r"/pulls/(\d+)/merge")
async def merged(github: FakeGitHub, request: Request, repository: str, number: str) -> Reply:
    reply = await github.upstream.send(request)
    if reply.status < 300:
        for event in ("merged", "closed"):
            await github.happenings.tell(request, repository, int(number), event)
    return reply


@route("POST", REPO + r"/pulls/(\d+)/requested_reviewers")
async def asked(github: FakeGitHub, request: Request, repository: str, number: str) -> Reply:
    reply = await github.upstream.send(request)
    if reply.status < 300:
        for login in request.body["reviewers"]:
            more = {"requested_reviewer": await github.happenings.user(login)}
            await github.happenings.tell(
                request, repository, int(number), "review_requested", **more
            )
    return reply
