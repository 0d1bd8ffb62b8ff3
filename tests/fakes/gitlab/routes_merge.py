"""Endpoints of merge requests that are opened and changed."""

from __future__ import annotations

from typing import Any

from tests.fakes.git_server import head_of
from tests.fakes.gitlab import payloads
from tests.fakes.gitlab.rest import Call, Made, Refused, route
from tests.fakes.gitlab.world import DEVELOPER

REQUESTS = "/projects/{project}/{kind:merge_requests}"


@route("POST", REQUESTS, "merge_requests.create")
def create_request(call: Call) -> Made:
    project, branch, target = call.project, call.text("source_branch"), call.text("target_branch")
    if project.level(call.user) < DEVELOPER:
        raise Refused(403, "403 Forbidden")
    sha = call.gitlab.new_sha() if project.git is None else head_of(project.git, branch)
    if not sha:
        raise Refused(400, {"source_branch": [f'"{branch}" does not exist']})
    for one in project.noteables:
        if (one.state, one.branch, one.target) == ("opened", branch, target):
            said = f"Another open merge request already exists for this source branch: !{one.iid}"
            raise Refused(409, [said])
    made = call.gitlab.open(project, "merge_requests", call.user, branch=branch)
    made.title, made.target, made.heads = call.text("title"), target, [sha]
    made.description = str(call.body.get("description") or "")
    call.gitlab.changed()
    return Made(status=201, data=payloads.noteable(made))


@route("PUT", REQUESTS + "/{iid}", "merge_requests.update")
def update_request(call: Call) -> Any:
    request = call.noteable
    if request.project.level(call.user) < DEVELOPER:
        raise Refused(403, "403 Forbidden")
    request.title = call.body.get("title", request.title)
    request.description = call.body.get("description", request.description)
    if call.body.get("state_event") == "close":
        request.state = "closed"
    call.gitlab.changed()
    return payloads.noteable(request)
