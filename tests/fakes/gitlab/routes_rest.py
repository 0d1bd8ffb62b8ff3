"""Endpoints of users, projects, members and commit statuses."""

from __future__ import annotations

from typing import Any

from tests.fakes.gitlab import payloads
from tests.fakes.gitlab.rest import Call, Listed, Made, Refused, route
from tests.fakes.gitlab.world import DEVELOPER, ENDED, Project, Status

PROJECT = "/projects/{project}"
TEXT_LENGTH_MAX = 255
EVENTS: dict[str, tuple[frozenset[str], str]] = {
    "pending": (frozenset({"created"}), "enqueue"),
    "running": (frozenset({"created", "pending"}), "run"),
    "success": (frozenset({"created", "pending", "running"}), "success"),
    "failed": (frozenset({"created", "pending", "running"}), "drop"),
    "canceled": (frozenset({"created", "pending", "running"}), "cancel"),
    "skipped": (frozenset({"created", "pending"}), "skip"),
}
"""By state: what it may follow, and the name of the event that leads to it."""


@route("GET", "/user", "user.show")
def show_ourselves(call: Call) -> Any:
    return payloads.user(call.user)


@route("GET", "/personal_access_tokens/self", "token.show")
def show_token(call: Call) -> Any:
    return {
        "id": call.user.id,
        "name": "ona",
        "scopes": list(call.user.scopes),
        "expires_at": call.user.token_ends,
        "active": True,
        "revoked": False,
    }


@route("GET", "/users/{id}", "users.show")
def show_user(call: Call) -> Any:
    for person in call.gitlab.people:
        if person.id == call.number("id"):
            return payloads.user(person)
    raise Refused(404, "404 User Not Found")


@route("GET", PROJECT, "projects.show")
def show_project(call: Call) -> Any:
    return payloads.project(call.project)


@route("GET", PROJECT + "/members/all/{id}", "members.show")
def show_member(call: Call) -> Any:
    for person, level in call.project.members.items():
        if person.id == call.number("id"):
            return payloads.member(person, level)
    raise Refused(404, "404 Not found")


@route("GET", PROJECT + "/repository/commits/{sha}/statuses", "statuses.list")
def list_statuses(call: Call) -> Listed:
    """The newest of each name, as without `all`."""
    found = {
        (one.name, one.ref, one.user): one
        for one in call.project.statuses
        if one.sha == call.where["sha"]
        and call.query.get("ref", one.ref) == one.ref
        and call.query.get("name", one.name) == one.name
    }
    return Listed([payloads.status(one) for one in found.values()])


@route("GET", PROJECT + "/jobs/{job}/trace", "jobs.trace")
def show_trace(call: Call) -> Made:
    for one in call.project.statuses:
        if one.id == call.number("job") and one.trace is not None:
            return Made(status=200, text=one.trace)
    raise Refused(404, "404 Not Found")


@route("POST", PROJECT + "/statuses/{sha}", "statuses.create")
def create_status(call: Call) -> Made:
    project, state = call.project, call.text("state")
    if project.level(call.user) < DEVELOPER:
        raise Refused(403, "403 Forbidden")
    if call.where["sha"] not in call.gitlab.commits:
        raise Refused(404, "404 Commit Not Found")
    for name in ("description", "target_url"):
        if len(call.body.get(name) or "") > TEXT_LENGTH_MAX:
            raise Refused(400, {name: ["is too long (maximum is 255 characters)"]})
    status = _open(call, project)
    _move(status, state)
    status.description = call.body.get("description", status.description)
    status.target_url = call.body.get("target_url", status.target_url)
    if status not in project.statuses:
        project.statuses.append(status)
    call.gitlab.changed()
    return Made(status=201, data=payloads.status(status))


def _open(call: Call, project: Project) -> Status:
    """The one that has not ended, or a new one."""
    sha, ref = call.where["sha"], str(call.body.get("ref") or "main")
    name = str(call.body.get("name") or call.body.get("context") or "default")
    for one in project.statuses:
        is_same = (one.sha, one.ref, one.name, one.user) == (sha, ref, name, call.user)
        if is_same and one.status not in ENDED:
            return one
    return Status(id=call.gitlab.new_id(), sha=sha, ref=ref, name=name, user=call.user)


def _move(status: Status, state: str) -> None:
    """Change its state, or refuse and change nothing of it."""
    if state not in EVENTS:
        raise Refused(400, {"error": "state does not have a valid value"})
    after, event = EVENTS[state]
    if status.status not in after:
        said = f"Cannot transition status via :{event} from :{status.status} (Reason(s): Status "
        raise Refused(400, f'{said}cannot transition via "{event}")')
    status.status = state
