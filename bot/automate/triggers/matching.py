"""Whether a trigger is about something that happened in a repository; pure.

Who may not write to a repository starts nothing there: neither by a pull request from a fork of
theirs, nor by a label or a review. What only somebody who may write can do at all, such as a push,
says so by itself; of everything else the forge has to be asked, which is the caller's to do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from adapters.chat.incoming import Author, Happened
from bot.automate.definition import CiFailed, IssueLabelled, PullRequestTrigger, Push, Trigger

Reason = Literal["kind", "older", "action", "branch", "draft", "label", "author", "bot", "foreign"]
"""Why a trigger is not about it."""
PROVEN = frozenset({"updated", "merged"})
"""Actions that take the right to write, where the pull request is not from a fork."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """The trigger is about it."""

    ask: Author | None = None
    """If they may write to the repository; None: that is known."""


def matches(trigger: Trigger, happened: Happened, *, since: datetime) -> Match | Reason:
    """Whether a trigger that counts since a time is about something, or why not."""
    # Some forges tell whole seconds alone.
    if happened.at < since.replace(microsecond=0):
        return "older"
    return "foreign" if happened.foreign else _of_kind(trigger, happened)


def _of_kind(trigger: Trigger, happened: Happened) -> Match | Reason:
    match trigger, happened.kind:
        case PullRequestTrigger(), "pull_request":
            return _pull_request(trigger, happened)
        case Push(), "push":
            return _on_branch(trigger.push.branches, happened)
        case CiFailed(), "ci_failed":
            return _on_branch(trigger.ci_failed.branches, happened)
        case IssueLabelled(), "issue_labelled":
            is_it = _among(trigger.issue_labelled, [happened.detail])
            return _by(happened, ()) if is_it else "label"
    return "kind"


def _pull_request(trigger: PullRequestTrigger, happened: Happened) -> Match | Reason:
    branches, labels, authors = trigger.branches, trigger.labels, trigger.authors
    refusals: Sequence[tuple[object, Reason]] = (
        (happened.action not in trigger.pull_request, "action"),
        (happened.draft and not trigger.drafts, "draft"),
        (branches and not _is_like(happened.base, branches), "branch"),
        (labels and not _among(labels, happened.labels), "label"),
        (authors and not _among(authors, [happened.opened_by]), "author"),
    )
    for is_refused, reason in refusals:
        if is_refused:
            return reason
    return Match() if happened.action in PROVEN else _by(happened, authors)


def _on_branch(patterns: Iterable[str], happened: Happened) -> Match | Reason:
    wanted = tuple(patterns) or (happened.default_branch,)
    is_wanted = happened.branch and _is_like(happened.branch, wanted)
    return Match() if is_wanted else "branch"


def _by(happened: Happened, named: Iterable[str]) -> Match | Reason:
    """Whether who did it counts: people who may write, we, and the bots that are named."""
    author = happened.author
    if author is None:
        return "author"
    if happened.by_us:
        return Match()
    if author.standing == "bot":
        return Match() if _among(named, [author.name]) else "bot"
    return Match(ask=author) if author.standing == "member" else "author"


def _is_like(branch: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(branch, pattern) for pattern in patterns)


def _among(wanted: Iterable[str], found: Iterable[str]) -> bool:
    """Whether they have one in common, letter case aside."""
    return not {one.casefold() for one in wanted}.isdisjoint(one.casefold() for one in found)


def about(happened: Happened) -> str:
    """What events about the same have in common."""
    place = f"{happened.surface}:{happened.repository}"
    return f"{place}#{happened.number}" if happened.number else f"{place}@{happened.branch}"


def facts(happened: Happened) -> dict[str, Any]:
    """What is known of it, as JSON; `untrusted` names what strangers may have written."""
    known = {
        "kind": happened.kind,
        "action": happened.action,
        "surface": happened.surface,
        "repository": happened.repository,
        "number": happened.number,
        "title": happened.title,
        "body": happened.body,
        "branch": happened.branch,
        "base": happened.base,
        "commit": happened.commit,
        "labels": list(happened.labels),
        "draft": happened.draft,
        "detail": happened.detail,
        "author": happened.author.name if happened.author else "",
        "opened_by": happened.opened_by,
        "by_us": happened.by_us,
        "web": happened.web,
        "at": happened.at.isoformat(),
    }
    said = {name: value for name, value in known.items() if value not in ("", 0, [])}
    untrusted = ("title", "body", "branch", "labels", "detail")
    return {**said, "untrusted": [name for name in untrusted if name in said]}
