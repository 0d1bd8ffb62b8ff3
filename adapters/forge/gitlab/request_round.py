"""What happened to a merge request of GitLab, by its pushes and by what GitLab notes on it; pure.

GitLab writes these notes in English, whatever language people read it in.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.forge.gitlab.events import asked_of
from adapters.forge.gitlab.happening import Data, Event, Project, moment, of_request

APPROVED = "approved this merge request"
READY = "marked this merge request as **ready**"
ASKED = "requested review from "
_NOT_ANY_MORE = " and removed "
_NAMES = re.compile(r"@([\w.-]+)", re.ASCII)


def events(
    project: Project, request: Data, versions: Sequence[Data], told: Sequence[Data]
) -> Iterator[Event]:
    """All that is known to have happened to it, also long ago.

    :param versions: one for each push, the newest first
    :param told: notes that GitLab itself wrote
    """
    made = moment(request["created_at"])
    yield of_request(project, request, "opened", user=request["author"], at=made)
    for version in versions[:-1]:
        head, at = str(version["head_commit_sha"]), moment(version["created_at"])
        pushed = {**request, "sha": head}
        yield of_request(project, pushed, "updated", head, user=None, at=at)
    yield from _ended(project, request)
    for note in told:
        yield from _told(project, request, versions, note)


def _ended(project: Project, request: Data) -> Iterator[Event]:
    if request["state"] == "merged" and request.get("merged_at"):
        who, at = request.get("merge_user") or request.get("merged_by"), request["merged_at"]
        yield of_request(project, request, "merged", user=who, at=moment(at))
    elif request["state"] == "closed" and request.get("closed_at"):
        head, at = str(request["sha"] or ""), moment(request["closed_at"])
        yield of_request(project, request, "closed", head, user=request.get("closed_by"), at=at)


def _told(project: Project, request: Data, versions: Sequence[Data], note: Data) -> Iterator[Event]:
    body, user, at = str(note["body"]), note["author"], moment(note["created_at"])
    head = _head_at(request, versions, at)
    if body == APPROVED:
        who = str(int(user["id"]))
        yield of_request(project, request, "approved", who, head, user=user, at=at)
    elif body == READY:
        yield of_request(project, request, "ready", head, user=user, at=at)
    elif body.startswith(ASKED):
        for name in _NAMES.findall(body.partition(_NOT_ANY_MORE)[0]):
            yield asked_of(project, request, name.rstrip("."), head, user=user, at=at)


def _head_at(request: Data, versions: Sequence[Data], at: datetime) -> str:
    """The newest commit at a time."""
    for version in versions:
        if moment(version["created_at"]) <= at:
            return str(version["head_commit_sha"])
    return str(request["sha"] or "")
