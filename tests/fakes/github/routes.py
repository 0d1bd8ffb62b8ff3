"""What the emulator lacks, or does in its own way; everything else is its.

Lists honour `since`, are sorted and numbered as GitHub documents it; answers in an inline thread,
reactions, accounts by id and who edited a comment are served here; see `routes_app` for the rest.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.fakes.git_server import has_branch
from tests.fakes.github.program import OWNER
from tests.fakes.github.requests import NOT_FOUND, Refused, Reply, Request

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

Route = Callable[..., Awaitable[Reply]]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []
REPO = r"/repos/([^/]+/[^/]+)"
KINDS = {"issues": "issue_comment", "pulls": "review_comment"}
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
ROLES = {"push": "write", "maintain": "write", "triage": "read", "pull": "read"}
BODY_LENGTH_MAX = 65_536
PULL_FILTERS = frozenset({"state", "head", "base"})
_ids = itertools.count(9_000_001)


def route(verb: str, pattern: str) -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        ROUTES.append((verb, re.compile(pattern), function))
        return function

    return register


def paged(github: FakeGitHub, request: Request, entries: list[Any]) -> tuple[list[Any], dict]:
    """The asked page of a list, and the headers that lead on."""
    size, page = min(100, request.number("per_page", 30)), request.number("page", 1)
    headers = {}
    if len(entries) > size * page:
        query = urlencode({**request.query, "page": page + 1})
        headers["Link"] = f'<{github.url}{request.path}?{query}>; rel="next"'
    return entries[size * (page - 1) : size * page], headers


def listed(github: FakeGitHub, request: Request, entries: list[Any]) -> Reply:
    shown, headers = paged(github, request, entries)
    return Reply(data=shown, headers=headers)


@route("GET", REPO + r"/(issues|pulls)/(?:(\d+)/)?comments")
async def comments(
    github: FakeGitHub, request: Request, repository: str, kind: str, number: str | None
) -> Reply:
    if number is None:
        # The emulator takes `comments` for a number.
        numbers = sorted(github.world.numbers(repository, KINDS[kind]))
        lists = [f"/repos/{repository}/{kind}/{one}/comments" for one in numbers]
    else:
        lists = [request.path]
    entries = [entry for path in lists for entry in await github.upstream.all(request, path)]
    for entry in entries:
        words = github.world.said.get((repository, KINDS[kind], entry["id"]))
        if words is not None and words.editor is None:
            # The emulator writes what it makes twice.
            entry["updated_at"] = entry["created_at"]
    since = request.query.get("since", "")
    entries = [entry for entry in entries if entry["updated_at"] >= since]
    if number is None or kind == "pulls":
        field = f"{request.query.get('sort', 'created')}_at"
        entries.sort(
            key=lambda entry: (entry[field], entry["id"]),
            reverse=request.query.get("direction", "asc") == "desc",
        )
    else:
        entries.sort(key=lambda entry: entry["id"])
    return listed(github, request, entries)


@route("POST", REPO + r"/(issues|pulls)/(\d+)/comments")
async def comment(github: FakeGitHub, request: Request, *_: str) -> Reply:
    _fits(request)
    return await github.upstream.send(request)


@route("PATCH", REPO + r"/(issues|pulls)/comments/(\d+)")
async def edited(github: FakeGitHub, request: Request, _: str, __: str, id_: str) -> Reply:
    _fits(request)
    if request.actor.app is not None:
        before = await github.upstream.get(request, request.path)
        if before["user"]["login"] != request.actor.login:
            raise Refused(403, "Resource not accessible by integration")
    return await github.upstream.send(request)


def _fits(request: Request) -> None:
    if len(str(request.body.get("body", ""))) > BODY_LENGTH_MAX:
        raise Refused(422, f"Body is too long (maximum is {BODY_LENGTH_MAX} characters)")


@route("POST", REPO + r"/pulls/(\d+)/comments/(\d+)/replies")
async def answer(
    github: FakeGitHub, request: Request, repository: str, number: str, root: str
) -> Reply:
    _fits(request)
    parent = await github.upstream.get(request, f"/repos/{repository}/pulls/comments/{root}")
    if parent["in_reply_to_id"] is not None:
        raise Refused(422, "Replies to replies are not supported")
    body = {"body": request.body.get("body"), "in_reply_to_id": int(root)}
    path = f"/repos/{repository}/pulls/{number}/comments"
    return await github.upstream.send(request, path=path, body=body)


@route("GET", REPO + r"/pulls")
async def pulls(github: FakeGitHub, request: Request, repository: str) -> Reply:
    """The emulator doesn't count what is said in a pull request as a change of it."""
    wanted = {key: value for key, value in request.query.items() if key in PULL_FILTERS}
    entries = await github.upstream.all(request, query=wanted)
    for entry in entries:
        touched = github.world.touched.get((repository, entry["number"]), "")
        entry["updated_at"] = max(entry["updated_at"], touched)
    if request.query.get("sort") == "updated":
        descending = request.query.get("direction", "desc") == "desc"
        entries.sort(key=lambda entry: entry["updated_at"], reverse=descending)
    return listed(github, request, entries)


@route("POST", REPO + r"/pulls")
async def pull_opened(github: FakeGitHub, request: Request, repository: str) -> Reply:
    """The emulator opens two for the same branch, and makes a branch that is not there."""
    owner, head = repository.partition("/")[0], str(request.body.get("head"))
    wanted = {"state": "open", "base": str(request.body.get("base"))}
    whole = head if ":" in head else f"{owner}:{head}"
    opened = await github.upstream.all(request, query={**wanted, "head": whole})
    if opened:
        raise Refused(422, f"Validation Failed: A pull request already exists for {whole}.")
    if github.git is not None and not has_branch(github.git / f"{repository}.git", head):
        raise Refused(422, "Validation Failed: head is invalid")
    return await github.upstream.send(request)


@route("GET", REPO + r"/pulls/(\d+)/reviews")
async def reviews(github: FakeGitHub, request: Request, repository: str, _: str) -> Reply:
    entries = await github.upstream.all(request)
    for entry in entries:
        words = github.world.said.get((repository, "review", entry["id"]))
        if words is not None:
            entry["body"] = words.data["body"]
    return listed(github, request, entries)


@route("POST", REPO + r"/pulls/(\d+)/reviews")
async def review_submitted(github: FakeGitHub, request: Request, repository: str, _: str) -> Reply:
    """The emulator keeps nothing of what a review says at lines of code."""
    lines = [
        {"id": next(_ids), "in_reply_to_id": None, **one}
        for one in request.body.pop("comments", [])
    ]
    if not lines:
        return await github.upstream.send(request)
    # It delivers before it answers: what it says there must be there by then.
    github.world.lines_of_next[repository] = lines
    reply = await github.upstream.send(request)
    github.world.lines[repository, reply.data["id"]] = github.world.lines_of_next.pop(repository)
    return reply


@route("GET", REPO + r"/pulls/(\d+)/reviews/(\d+)/comments")
async def review_lines(
    github: FakeGitHub, request: Request, repository: str, _: str, id_: str
) -> Reply:
    lines = github.world.lines.get((repository, int(id_)))
    return listed(github, request, lines or github.world.lines_of_next.get(repository, []))


@route("GET", REPO + r"/pulls/(\d+)/reviews/(\d+)")
async def review(github: FakeGitHub, request: Request, repository: str, _: str, id_: str) -> Reply:
    entry = await github.upstream.get(request, request.path)
    words = github.world.said.get((repository, "review", int(id_)))
    return Reply(data=entry if words is None else {**entry, "body": words.data["body"]})


@route("PUT", REPO + r"/pulls/(\d+)/reviews/(\d+)")
async def review_edited(
    github: FakeGitHub, request: Request, repository: str, number: str, id_: str
) -> Reply:
    """The emulator lets only what is pending be edited."""
    words = github.world.said.get((repository, "review", int(id_)))
    if words is None:
        raise Refused(404, NOT_FOUND)
    words.before, words.data = words.data["body"], {**words.data, **request.body}
    payload = {
        "action": "edited",
        "review": words.data,
        "changes": {"body": {"from": words.before}},
        "pull_request": await github.upstream.get(request, f"/repos/{repository}/pulls/{number}"),
        "repository": await github.upstream.get(request, f"/repos/{repository}"),
        "sender": words.data["user"],
    }
    await github.hooks.deliver("pull_request_review", payload)
    return Reply(data=words.data)


@route("GET", REPO + r"/(issues|pulls)/comments/(\d+)/reactions")
async def reactions(
    github: FakeGitHub, request: Request, repository: str, kind: str, id_: str
) -> Reply:
    await github.upstream.get(request, request.path.removesuffix("/reactions"))
    return listed(github, request, github.world.reactions[repository, KINDS[kind], int(id_)])


@route("POST", REPO + r"/(issues|pulls)/comments/(\d+)/reactions")
async def reaction(
    github: FakeGitHub, request: Request, repository: str, kind: str, id_: str
) -> Reply:
    await github.upstream.get(request, request.path.removesuffix("/reactions"))
    content = request.body.get("content")
    if content not in REACTIONS:
        raise Refused(422, "Validation Failed")
    here = github.world.reactions[repository, KINDS[kind], int(id_)]
    for one in here:
        if (one["content"], one["user"]["login"]) == (content, request.actor.login):
            return Reply(data=one)
    type_ = "User" if request.actor.app is None else "Bot"
    user = {"login": request.actor.login, "type": type_}
    here.append({"id": next(_ids), "content": content, "user": user})
    return Reply(status=201, data=here[-1])


@route("DELETE", REPO + r"/(issues|pulls)/comments/(\d+)/reactions/(\d+)")
async def no_reaction(
    github: FakeGitHub, request: Request, repository: str, kind: str, *ids: str
) -> Reply:
    comment, reaction = map(int, ids)
    here = github.world.reactions[repository, KINDS[kind], comment]
    for one in here:
        if one["id"] == reaction:
            if one["user"]["login"] != request.actor.login:
                raise Refused(403, "Forbidden")
            here.remove(one)
            return Reply(status=204)
    raise Refused(404, NOT_FOUND)


@route("POST", "/graphql")
async def graphql(github: FakeGitHub, request: Request) -> Reply:
    """The emulator has none; this is for who edited a comment, and drafts of pull requests."""
    wanted = request.body["variables"]["id"]
    if request.body["query"].startswith("mutation"):
        return await _draft(github, request, wanted)
    for words in github.world.said.values():
        if words.data["node_id"] == wanted:
            editor = None if words.editor is None else {"login": words.editor}
            return Reply(data={"data": {"node": {"editor": editor}}})
    error = {"type": "NOT_FOUND", "message": "Could not resolve to a node"}
    return Reply(data={"data": {"node": None}, "errors": [error]})


async def _draft(github: FakeGitHub, request: Request, wanted: str) -> Reply:
    """Make a pull request a draft, or ready."""
    is_draft = "convertPullRequestToDraft" in request.body["query"]
    for repository in await github.upstream.all(request, f"/users/{OWNER}/repos"):
        path = f"/repos/{repository['full_name']}/pulls"
        for pull in await github.upstream.all(request, path):
            if pull["node_id"] == wanted:
                await github.acme.asks("PATCH", f"{path}/{pull['number']}", {"draft": is_draft})
                return Reply(data={"data": {"it": {"pullRequest": {"isDraft": is_draft}}}})
    error = {"type": "NOT_FOUND", "message": "Could not resolve to a node"}
    return Reply(data={"data": None, "errors": [error]})


@route("GET", r"/user/(\d+)")
async def user(github: FakeGitHub, request: Request, id_: str) -> Reply:
    for one in await github.upstream.all(request, "/users"):
        if one["id"] == int(id_):
            return Reply(data=one)
    raise Refused(404, NOT_FOUND)


@route("GET", REPO + r"/collaborators/([^/]+)/permission")
async def permission(github: FakeGitHub, request: Request, repository: str, login: str) -> Reply:
    """The emulator knows no permission of those who are no collaborators."""
    reply = await github.upstream.send(request)
    if reply.status == 404:
        person = await github.upstream.get(request, f"/users/{login}")
        private = (await github.upstream.get(request, f"/repos/{repository}"))["private"]
        reply = Reply(data={"permission": "none" if private else "read", "user": person})
    if reply.status == 200:
        given = reply.data["permission"]
        reply.data["permission"] = ROLES.get(given, given)
    return reply
