"""What happens in repositories of GitHub, in our words: the same, whichever way we came to know.

webhooks, `events`       ┐
                         ├─▶ Event ─▶ is it wanted? ─▶ EventReader ─▶ Happened
lists, `event_polling`   ┘
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.chat.incoming import Happened, Happening
from adapters.chat.port import Deadline, Unavailable
from adapters.forge import happened
from adapters.forge.github.app import App
from adapters.forge.github.calls import PAGE
from adapters.forge.github.place import SURFACE, web_address
from adapters.forge.github.reading import ASK_SECONDS, author_of, is_foreign
from adapters.forge.happened import NAME_LENGTH_MAX, bounded
from adapters.forge.port import Wanted

Data = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened."""

    kind: Happening
    key: str
    """As `Happened.key`; empty: it has yet to be looked up."""
    repository: str
    default_branch: str
    user: Data | None
    """Who did it, as the API has them."""
    at: datetime
    about: Data
    """What else a `Happened` says of it."""
    from_fork: bool = False


def moment(said: str | float) -> datetime:
    """A time, as GitHub writes it. :raises ValueError, TypeError: it is none"""
    if isinstance(said, int | float):
        try:
            return datetime.fromtimestamp(said, UTC)
        except (OverflowError, OSError) as error:
            raise ValueError("no time") from error
    return datetime.fromisoformat(said).astimezone(UTC)


def of_pull(
    repository: Data,
    pull: Data,
    action: str,
    *which: str,
    user: Data | None,
    at: datetime,
    **more: Any,
) -> Event:
    """Something that happened to a pull request.

    :param which: what tells it from the same action at another time
    :param more: what it says otherwise than the pull request
    """
    number = int(pull["number"])
    return Event(
        kind="pull_request",
        key=happened.of_pull(number, action, *which),
        repository=str(repository["full_name"]),
        default_branch=str(repository.get("default_branch") or ""),
        user=user,
        at=at,
        about={**_of(pull), "action": action, **_ends(pull), **more},
        from_fork=is_foreign(pull),
    )


def _ends(pull: Data) -> dict[str, Any]:
    return {
        "branch": bounded(pull["head"]["ref"], NAME_LENGTH_MAX),
        "base": bounded(pull["base"]["ref"], NAME_LENGTH_MAX),
        "commit": str(pull["head"]["sha"]),
        "draft": bool(pull.get("draft")),
    }


def _of(said: Data) -> dict[str, Any]:
    """What a pull request and an issue have in common."""
    return {
        "number": int(said["number"]),
        "title": bounded(said.get("title"), happened.TITLE_LENGTH_MAX),
        "body": bounded(said.get("body"), happened.BODY_LENGTH_MAX),
        "labels": happened.names(one["name"] for one in said.get("labels") or ()),
        "opened_by": str((said.get("user") or {}).get("login") or ""),
        "web": str(said.get("html_url") or ""),
    }


def of_push(
    repository: Data, branch: str, before: str, after: str, *, user: Data | None, at: datetime
) -> Event:
    """Commits that were pushed to a branch."""
    return Event(
        kind="push",
        key=happened.pushed(branch, before, after),
        repository=str(repository["full_name"]),
        default_branch=str(repository.get("default_branch") or ""),
        user=user,
        at=at,
        about={
            "branch": bounded(branch, NAME_LENGTH_MAX),
            "commit": after,
            "web": _commit(repository, after),
        },
    )


def of_label(
    repository: Data,
    issue: Data,
    label: str,
    *,
    user: Data | None,
    at: datetime,
    event: int | None = None,
) -> Event:
    """A label that an issue was given; `event` is GitHub's number of that."""
    number = int(issue["number"])
    return Event(
        kind="issue_labelled",
        key="" if event is None else happened.labelled(number, label, event),
        repository=str(repository["full_name"]),
        default_branch=str(repository.get("default_branch") or ""),
        user=user,
        at=at,
        about={**_of(issue), "detail": bounded(label, NAME_LENGTH_MAX)},
    )


def of_failure(
    repository: Data,
    commit: str,
    branch: str,
    *,
    what: str,
    run: int,
    name: str,
    at: datetime,
    web: str = "",
) -> Event:
    """A check of a commit that failed; `what` is the kind of check that `run` is the number of."""
    return Event(
        kind="ci_failed",
        key=happened.failed(commit, what, run),
        repository=str(repository["full_name"]),
        default_branch=str(repository.get("default_branch") or ""),
        user=None,
        at=at,
        about={
            "branch": bounded(branch, NAME_LENGTH_MAX),
            "commit": commit,
            "detail": bounded(name, NAME_LENGTH_MAX),
            "web": web or _commit(repository, commit),
        },
    )


def _commit(repository: Data, commit: str) -> str:
    page = str(repository.get("html_url") or "")
    return f"{page}/commit/{commit}" if page else ""


class EventReader:
    """Reads what happened on one GitHub."""

    def __init__(self, app: App, wanted: Wanted, *, forks: bool = False) -> None:
        """`wanted` says what somebody wants to hear of.

        :param forks: pull requests from forks are as good as others
        """
        self._app = app
        self._forks = forks
        self._web = web_address(app.api_url)
        self.wanted = wanted

    async def read(self, event: Event, delivery: str) -> Happened | None:
        """What happened; None: nobody wants to hear of it. :raises ChatError: GitHub is silent"""
        if not happened.is_wanted(await self.wanted(), event.repository, event.kind):
            return None
        if not event.key:
            event = await self._numbered(event)
        us = await self._app.ourselves(Deadline.after(ASK_SECONDS))
        author = None
        if event.user is not None:
            author = author_of(event.user, us, self._web.partition("://")[2])
        return Happened(
            surface=SURFACE,
            delivery=delivery,
            key=event.key,
            kind=event.kind,
            repository=event.repository,
            url=f"{self._web}/{event.repository}.git",
            author=author,
            default_branch=event.default_branch,
            by_us=author is not None and author.name == us.login,
            foreign=event.from_fork and not self._forks,
            at=event.at,
            **event.about,
        )

    async def _numbered(self, event: Event) -> Event:
        """A label with GitHub's number of giving it, which webhooks don't tell.

        :raises Unavailable: GitHub does not know of it yet; the poll finds it
        """
        number, label = event.about["number"], event.about["detail"]
        deadline = Deadline.after(ASK_SECONDS)
        query = {"per_page": PAGE}
        answer = await self._app.call(
            deadline, event.repository, "GET", "/issues/events", query=query
        )
        for one in answer.data:
            is_it = one["event"] == "labeled" and one["issue"]["number"] == number
            if is_it and bounded(one["label"]["name"], NAME_LENGTH_MAX) == label:
                key = happened.labelled(number, label, int(one["id"]))
                return replace(event, key=key, at=moment(one["created_at"]))
        raise Unavailable("GitHub does not list the label yet")
