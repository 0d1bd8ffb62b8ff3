"""What only apps do here: tokens of installations, check runs, and searches.

The emulator forgets the app and the buttons of a check run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.github.program import APPS, OWNER, FakeApp
from tests.fakes.github.requests import NOT_FOUND, Refused, Reply, Request
from tests.fakes.github.routes import REPO, paged, route

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

SUMMARY_LENGTH_MAX = 65_535


@route("POST", r"/app/installations/(\d+)/access_tokens")
async def access_tokens(github: FakeGitHub, request: Request, installation: str) -> Reply:
    # None named means all that there are; the emulator gives none then.
    body = {name: value for name, value in request.body.items() if value}
    reply = await github.upstream.send(request, body=body)
    if reply.status == 201:
        (app,) = (one for one in APPS if one.installation == int(installation))
        github.tokens.issued(reply.data["token"], app)
    return reply


@route("DELETE", "/installation/token")
async def revoked(github: FakeGitHub, request: Request) -> Reply:
    if request.actor.app is None or request.actor.is_app:
        raise Refused(403, "Resource not accessible by personal access token")
    github.tokens.end(request.headers["Authorization"].partition(" ")[2])
    return Reply(status=204, data=None)


@route("GET", "/installation/repositories")
async def repositories(github: FakeGitHub, request: Request) -> Reply:
    entries = await github.upstream.all(request, f"/users/{OWNER}/repos")
    shown, headers = paged(github, request, entries)
    return Reply(data={"total_count": len(entries), "repositories": shown}, headers=headers)


@route("POST", REPO + "/check-runs")
async def check_run(github: FakeGitHub, request: Request, repository: str) -> Reply:
    app = _check(request)
    reply = await github.upstream.send(request)
    if reply.status == 201:
        reply.data["app"] = {"id": app.id, "slug": app.slug}
        actions = request.body.get("actions", [])
        kept = {**reply.data, "actions": actions}
        github.world.checks[repository, reply.data["id"]] = kept
    return reply


@route("PATCH", REPO + r"/check-runs/(\d+)")
async def check_run_changed(
    github: FakeGitHub, request: Request, repository: str, id_: str
) -> Reply:
    app = _check(request)
    kept = github.world.checks.get((repository, int(id_)))
    if kept is None:
        raise Refused(404, NOT_FOUND)
    if kept["app"]["id"] != app.id:
        raise Refused(403, "Invalid app_id")
    reply = await github.upstream.send(request)
    if reply.status == 200:
        reply.data["app"] = kept["app"]
        actions = request.body.get("actions", kept["actions"])
        github.world.checks[repository, int(id_)] = {**reply.data, "actions": actions}
    return reply


def _check(request: Request) -> FakeApp:
    """Hold a check run against the limits. Whose it is."""
    if request.actor.app is None:
        raise Refused(403, "You must authenticate via a GitHub App.")
    summary = (request.body.get("output") or {}).get("summary", " ")
    fits = 0 < len(summary) <= SUMMARY_LENGTH_MAX
    actions = request.body.get("actions", [])
    for action in actions:
        fits &= len(action["label"]) <= 20 >= len(action["identifier"])
        fits &= len(action["description"]) <= 40
    if not fits or len(actions) > 3:
        raise Refused(422, "Invalid request.")
    return request.actor.app


@route("GET", REPO + r"/commits/([^/]+)/check-runs")
async def check_runs(github: FakeGitHub, request: Request, repository: str, _: str) -> Reply:
    reply = await github.upstream.send(request)
    if reply.status != 200:
        return reply
    runs = reply.data["check_runs"]
    for run in runs:
        run["app"] = github.world.checks[repository, run["id"]]["app"]
    wanted = request.query.get("app_id")
    runs = [run for run in runs if wanted in (None, str(run["app"]["id"]))]
    shown, headers = paged(github, request, runs)
    return Reply(data={"total_count": len(runs), "check_runs": shown}, headers=headers)


@route("GET", "/search/repositories")
async def searched(github: FakeGitHub, request: Request) -> Reply:
    """The emulator's pages lead on nowhere."""
    reply = await github.upstream.send(request)
    if reply.status == 200:
        _, reply.headers = paged(github, request, [None] * reply.data["total_count"])
    return reply
