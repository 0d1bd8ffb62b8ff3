"""One look at a repository of GitHub: what its lists say, and what happened by them; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.forge.github import events
from adapters.forge.github.happening import Data, Event, moment, of_label, of_pull, of_push
from adapters.forge.github.reading import is_foreign
from adapters.forge.happened import NO_COMMIT, Window, branch_named

PUSHES = frozenset({"push", "force_push", "branch_creation", "pr_merge", "merge_queue_merge"})
"""Activities that bring a branch to another commit."""


@dataclass(frozen=True)
class Push:
    """Commits that came to a branch."""

    branch: str
    before: str
    after: str
    user: Data | None
    at: datetime

    @classmethod
    def read(cls, activity: Data) -> "Push | None":
        """Read one activity; None: it is no push to a branch."""
        branch, after = branch_named(activity["ref"]), str(activity["after"])
        if activity["activity_type"] not in PUSHES or not branch or after == NO_COMMIT:
            return None
        return cls(
            branch=branch,
            before=str(activity["before"]),
            after=after,
            user=activity["actor"],
            at=moment(activity["timestamp"]),
        )


@dataclass(kw_only=True)
class Round:
    """One look at a repository."""

    repository: Data
    now: datetime
    window: Window
    etags: dict[str, str]
    """Of what was answered in this round."""
    pushes: Sequence[Push] = ()
    told: Sequence[Data] = ()
    """Events of issues and pull requests within the window, the newest first."""
    is_new: bool = False
    """Something of that is new since the last round."""

    @property
    def name(self) -> str:
        """Of the repository."""
        return str(self.repository["full_name"])

    def head_at(self, pull: Data, at: datetime) -> str:
        """The newest commit of a pull request at a time."""
        later = [
            one
            for one in self.pushes
            if one.branch == pull["head"]["ref"] and one.at > at and not is_foreign(pull)
        ]
        return later[-1].before if later else str(pull["head"]["sha"])


def pushes(one: Round) -> list[Event]:
    """What was pushed."""
    return [
        of_push(one.repository, push.branch, push.before, push.after, user=push.user, at=push.at)
        for push in one.pushes
    ]


def changes(one: Round, pull: Data) -> list[Event]:
    """What a pull request itself, and pushes to its branch, say of what happened to it."""
    made, ended = moment(pull["created_at"]), pull["closed_at"]
    found = [of_pull(one.repository, pull, "opened", user=pull["user"], at=made)]
    if ended:
        found.append(events.closed(one.repository, pull, _who_ended(one, pull)))
    for push in one.pushes if not is_foreign(pull) else ():
        # A branch that is made in the second of its pull request is no newer than that.
        is_newer = push.at > made or (push.at == made and push.before != NO_COMMIT)
        is_its = push.branch == pull["head"]["ref"] and is_newer
        if is_its and (not ended or push.at <= moment(ended)):
            found.append(_newer(one, pull, push))
    return found


def _newer(one: Round, pull: Data, push: Push) -> Event:
    commit = push.after
    return of_pull(
        one.repository, pull, "updated", commit, user=push.user, at=push.at, commit=commit
    )


def _who_ended(one: Round, pull: Data) -> Data | None:
    for told in one.told:
        if told["event"] in {"merged", "closed"} and told["issue"]["number"] == pull["number"]:
            who: Data | None = told["actor"]
            return who
    return None


def labels(one: Round) -> list[Event]:
    """What issues were labelled."""
    return [
        of_label(
            one.repository,
            told["issue"],
            str(told["label"]["name"]),
            user=told["actor"],
            at=moment(told["created_at"]),
            event=int(told["id"]),
        )
        for told in one.told
        if told["event"] == "labeled" and not told["issue"].get("pull_request")
    ]
