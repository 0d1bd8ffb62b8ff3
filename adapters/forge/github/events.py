"""What GitHub's webhooks tell of what happens in repositories; pure.

An action that is not read here, such as `reopened`, is nothing that happened in our words.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters.forge.github.ci import FAILED
from adapters.forge.github.happening import (
    Data,
    Event,
    moment,
    of_failure,
    of_label,
    of_pull,
    of_push,
)
from adapters.forge.happened import NO_COMMIT, branch_named

APPROVED = "approved"
BAD_STATES = frozenset({"failure", "error"})
"""Of commit statuses."""


def read(name: str, body: Data) -> tuple[Event, ...]:
    """What a delivery of an event with this name tells.

    :raises KeyError, TypeError, ValueError, AttributeError: GitHub sends no such thing
    """
    reader = _READERS.get(name)
    return () if reader is None else tuple(reader(body))


def _pull_request(body: Data) -> Iterator[Event]:
    repository, pull, user = body["repository"], body["pull_request"], body["sender"]
    head = str(pull["head"]["sha"])
    about: dict[str, Any] = {"user": user, "at": moment(pull["updated_at"])}
    match body["action"]:
        case "opened":
            about["at"] = moment(pull["created_at"])
            yield of_pull(repository, pull, "opened", **about)
        case "synchronize":
            yield of_pull(repository, pull, "updated", head, **about)
        case "ready_for_review":
            yield of_pull(repository, pull, "ready", head, **about)
        case "closed":
            yield closed(repository, pull, user)
        case "review_requested":
            asked = reviewer(body)
            yield of_pull(repository, pull, "review_requested", asked, head, **about, detail=asked)


def closed(repository: Data, pull: Data, user: Data | None) -> Event:
    """The end of a pull request."""
    at = moment(pull["closed_at"])
    if pull.get("merged") or pull.get("merged_at"):
        return of_pull(repository, pull, "merged", user=user, at=at)
    return of_pull(repository, pull, "closed", str(pull["closed_at"]), user=user, at=at)


def reviewer(said: Data) -> str:
    """Who is asked for a review: a login, or the name of a team after `team/`."""
    team = said.get("requested_team")
    if team:
        return f"team/{team['slug']}"
    return str((said.get("requested_reviewer") or {}).get("login") or "")


def _pull_request_review(body: Data) -> Iterator[Event]:
    review = body["review"]
    if body["action"] == "submitted" and str(review.get("state")).lower() == APPROVED:
        yield approved(body["repository"], body["pull_request"], review)


def approved(repository: Data, pull: Data, review: Data) -> Event:
    """A review that approves."""
    return of_pull(
        repository,
        pull,
        "approved",
        str(int(review["id"])),
        user=review["user"],
        at=moment(review["submitted_at"]),
    )


def _push(body: Data) -> Iterator[Event]:
    repository, branch, after = body["repository"], branch_named(body["ref"]), str(body["after"])
    if branch and after != NO_COMMIT:
        yield of_push(
            repository,
            branch,
            str(body["before"]),
            after,
            user=body["sender"],
            at=moment(repository["pushed_at"]),
        )


def _issues(body: Data) -> Iterator[Event]:
    issue = body["issue"]
    if body["action"] == "labeled" and not issue.get("pull_request"):
        at, label = moment(issue["updated_at"]), str(body["label"]["name"])
        yield of_label(body["repository"], issue, label, user=body["sender"], at=at)


def _check_run(body: Data) -> Iterator[Event]:
    run = body["check_run"]
    if body["action"] == "completed" and run.get("conclusion") in FAILED:
        branch = str((run.get("check_suite") or {}).get("head_branch") or "")
        yield failed_run(body["repository"], run, branch)


def failed_run(repository: Data, run: Data, branch: str) -> Event:
    """A check run that failed."""
    return of_failure(
        repository,
        str(run["head_sha"]),
        branch,
        what="check",
        run=int(run["id"]),
        name=str(run["name"]),
        at=moment(run["completed_at"]),
        web=str(run.get("html_url") or ""),
    )


def _status(body: Data) -> Iterator[Event]:
    if body["state"] in BAD_STATES:
        yield failed_status(body["repository"], str(body["sha"]), body, _branch(body))


def failed_status(repository: Data, commit: str, status: Data, branch: str) -> Event:
    """A commit status that is bad."""
    return of_failure(
        repository,
        commit,
        branch,
        what="status",
        run=int(status["id"]),
        name=str(status["context"]),
        at=moment(status["updated_at"]),
        web=str(status.get("target_url") or ""),
    )


def _branch(body: Data) -> str:
    """The branch whose newest commit it is: the default branch, if it is that of several."""
    at = [one["name"] for one in body["branches"] if one["commit"]["sha"] == body["sha"]]
    default = body["repository"].get("default_branch")
    return str(default if default in at else at[0] if at else "")


_READERS: Mapping[str, Callable[[Data], Iterator[Event]]] = {
    "pull_request": _pull_request,
    "pull_request_review": _pull_request_review,
    "push": _push,
    "issues": _issues,
    "check_run": _check_run,
    "status": _status,
}
