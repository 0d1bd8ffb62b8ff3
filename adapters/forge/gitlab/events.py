"""What GitLab's webhooks tell of what happens in projects; pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from adapters.forge.gitlab.happening import (
    Data,
    Event,
    Project,
    moment,
    of_failure,
    of_label,
    of_push,
    of_request,
)
from adapters.forge.happened import NAME_LENGTH_MAX, NO_COMMIT, bounded, branch_named

APPROVALS = frozenset({"approved", "approval"})
"""Somebody approved: with that, enough people have, or not yet."""


def read(data: Data, now: datetime) -> tuple[Event, ...]:
    """What a delivery tells.

    :param now: when it came; of a push it does not say itself
    :raises KeyError, TypeError, ValueError, AttributeError: GitLab sends no such thing
    """
    reader = _READERS.get(data["object_kind"])
    return () if reader is None else tuple(reader(data, now))


def _merge_request(data: Data, _: datetime) -> Iterator[Event]:
    request, project = data["object_attributes"], Project.of_hook(data["project"])
    user, action, at = data["user"], request.get("action"), moment(request["updated_at"])
    head = str(request["last_commit"]["id"])
    if action == "open":
        at = moment(request["created_at"])
        yield of_request(project, request, "opened", user=user, at=at)
    elif action in APPROVALS:
        who = str(int(user["id"]))
        yield of_request(project, request, "approved", who, head, user=user, at=at)
    elif action == "merge":
        yield of_request(project, request, "merged", user=user, at=at)
    elif action == "close":
        yield of_request(project, request, "closed", head, user=user, at=at)
    elif action == "update":
        yield from _updated(data, project, head, at)


def _updated(data: Data, project: Project, head: str, at: datetime) -> Iterator[Event]:
    request, user, changes = data["object_attributes"], data["user"], data.get("changes") or {}
    if request.get("oldrev"):
        yield of_request(project, request, "updated", head, user=user, at=at)
    draft = changes.get("draft") or {}
    if draft.get("previous") and not draft.get("current"):
        yield of_request(project, request, "ready", head, user=user, at=at)
    for name in _added(changes.get("reviewers") or {}, "username"):
        yield asked_of(project, request, name, head, user=user, at=at)


def asked_of(
    project: Project, request: Data, name: str, head: str, *, user: Data, at: datetime
) -> Event:
    """Somebody was asked for a review."""
    found = of_request(project, request, "review_requested", name, head, user=user, at=at)
    return replace(found, about={**found.about, "detail": bounded(name, NAME_LENGTH_MAX)})


def _added(change: Data, name: str) -> list[str]:
    """What a change of a list added, by the name of each."""
    before = {one["id"] for one in change.get("previous") or ()}
    return [str(one[name]) for one in change.get("current") or () if one["id"] not in before]


def _push(data: Data, now: datetime) -> Iterator[Event]:
    branch, after = branch_named(data["ref"]), str(data["after"])
    if branch and after != NO_COMMIT:
        user = {"id": data["user_id"], "username": data["user_username"]}
        project = Project.of_hook(data["project"])
        yield of_push(project, branch, str(data["before"]), after, user=user, at=now)


def _issue(data: Data, _: datetime) -> Iterator[Event]:
    issue, project = data["object_attributes"], Project.of_hook(data["project"])
    if issue.get("confidential"):
        return
    at, action = moment(issue["updated_at"]), issue.get("action")
    if action == "open":
        given = [str(one["title"]) for one in data.get("labels") or ()]
    elif action == "update":
        given = _added((data.get("changes") or {}).get("labels") or {}, "title")
    else:
        given = []
    for label in given:
        yield of_label(project, issue, label, user=data["user"], at=at)


def _pipeline(data: Data, _: datetime) -> Iterator[Event]:
    pipeline, request = data["object_attributes"], data.get("merge_request")
    if pipeline["status"] != "failed" or pipeline.get("tag"):
        return
    branch, from_fork = str(pipeline["ref"]), False
    if pipeline.get("source") == "merge_request_event" and request:
        branch = str(request["source_branch"])
        from_fork = request["source_project_id"] != request["target_project_id"]
    yield of_failure(Project.of_hook(data["project"]), pipeline, branch, from_fork=from_fork)


_READERS: Mapping[str, Callable[[Data, datetime], Iterator[Event]]] = {
    "merge_request": _merge_request,
    "push": _push,
    "issue": _issue,
    "work_item": _issue,
    "pipeline": _pipeline,
}
