"""What happens in projects of GitLab, in our words: the same, whichever way we came to know.

webhooks, `events`       ┐
                         ├─▶ Event ─▶ is it wanted? ─▶ EventReader ─▶ Happened
lists, `event_polling`   ┘
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.chat.incoming import Happened, Happening
from adapters.chat.port import Deadline, Gone, Rejected, Unavailable
from adapters.forge import happened
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import project_path
from adapters.forge.gitlab.port import SURFACE
from adapters.forge.gitlab.reading import ASK_SECONDS, author_of
from adapters.forge.happened import NAME_LENGTH_MAX, bounded
from adapters.forge.port import Wanted

ADDED = "add"
"""What a label event says when a label was given, not taken."""

Data = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Project:
    """Where something happened."""

    path: str
    clone_url: str
    default_branch: str
    web: str

    @classmethod
    def of_hook(cls, said: Data) -> "Project":
        """As a webhook tells it."""
        return cls(
            path=str(said["path_with_namespace"]),
            clone_url=str(said["git_http_url"]),
            default_branch=str(said.get("default_branch") or ""),
            web=str(said.get("web_url") or ""),
        )

    @classmethod
    def of_api(cls, said: Data) -> "Project":
        """As the API has it."""
        return cls(
            path=str(said["path_with_namespace"]),
            clone_url=str(said["http_url_to_repo"]),
            default_branch=str(said.get("default_branch") or ""),
            web=str(said.get("web_url") or ""),
        )


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened."""

    kind: Happening
    key: str
    """As `Happened.key`; empty: it has yet to be looked up."""
    project: Project
    user: Data | None
    """Who did it: `id` and `username`."""
    at: datetime
    about: Data
    """What else a `Happened` says of it."""
    from_fork: bool = False
    opener_id: int | None = None
    """Who opened the merge request or issue, where `about` does not say."""


def moment(said: str) -> datetime:
    """A time, as the API or a webhook writes it. :raises ValueError, AttributeError: it is none"""
    found = datetime.fromisoformat(said.replace(" UTC", "+00:00"))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def of_request(
    project: Project, request: Data, action: str, *which: str, user: Data | None, at: datetime
) -> Event:
    """Something that happened to a merge request, as webhooks or the API have it.

    :param which: what tells it from the same action at another time
    """
    last = request.get("last_commit") or {}
    return Event(
        kind="pull_request",
        key=happened.of_pull(int(request["iid"]), action, *which),
        project=project,
        user=user,
        at=at,
        about={
            **_of(request),
            "action": action,
            "branch": bounded(request["source_branch"], NAME_LENGTH_MAX),
            "base": bounded(request["target_branch"], NAME_LENGTH_MAX),
            "commit": str(last.get("id") or request.get("sha") or ""),
            "draft": bool(request.get("draft") or request.get("work_in_progress")),
        },
        from_fork=request["source_project_id"] != request["target_project_id"],
        opener_id=_opener(request),
    )


def _opener(said: Data) -> int | None:
    return None if said.get("author") else int(said["author_id"])


def _of(said: Data) -> dict[str, Any]:
    """What a merge request and an issue have in common."""
    labels = said.get("labels") or ()
    return {
        "number": int(said["iid"]),
        "title": bounded(said.get("title"), happened.TITLE_LENGTH_MAX),
        "body": bounded(said.get("description"), happened.BODY_LENGTH_MAX),
        "labels": happened.names(one if isinstance(one, str) else one["title"] for one in labels),
        "opened_by": str((said.get("author") or {}).get("username") or ""),
        "web": str(said.get("web_url") or said.get("url") or ""),
    }


def of_push(
    project: Project, branch: str, before: str | None, after: str, *, user: Data, at: datetime
) -> Event:
    """Commits that were pushed to a branch."""
    return Event(
        kind="push",
        key=happened.pushed(branch, before, after),
        project=project,
        user=user,
        at=at,
        about={
            "branch": bounded(branch, NAME_LENGTH_MAX),
            "commit": after,
            "web": f"{project.web}/-/commit/{after}" if project.web else "",
        },
    )


def of_label(
    project: Project,
    issue: Data,
    label: str,
    *,
    user: Data | None,
    at: datetime,
    event: int | None = None,
) -> Event:
    """A label that an issue was given; `event` is GitLab's number of that."""
    number = int(issue["iid"])
    return Event(
        kind="issue_labelled",
        key="" if event is None else happened.labelled(number, label, event),
        project=project,
        user=user,
        at=at,
        about={**_of(issue), "detail": bounded(label, NAME_LENGTH_MAX)},
        opener_id=_opener(issue),
    )


def of_failure(project: Project, pipeline: Data, branch: str, *, from_fork: bool = False) -> Event:
    """A pipeline that failed, as webhooks or the API have it."""
    number, commit = int(pipeline["id"]), str(pipeline["sha"])
    ended = pipeline.get("finished_at") or pipeline.get("updated_at") or pipeline["created_at"]
    return Event(
        kind="ci_failed",
        key=happened.failed(commit, "pipeline", number),
        project=project,
        user=None,
        at=moment(ended),
        about={
            "branch": bounded(branch, NAME_LENGTH_MAX),
            "commit": commit,
            "detail": f"pipeline {number}",
            "web": str(pipeline.get("web_url") or pipeline.get("url") or ""),
        },
        from_fork=from_fork,
    )


class EventReader:
    """Reads what happened on one GitLab."""

    def __init__(
        self,
        client: Client,
        wanted: Wanted,
        *,
        bots: Collection[str] = (),
        forks: bool = False,
    ) -> None:
        """`wanted` says what somebody wants to hear of.

        :param bots: usernames of accounts that are bots, though GitLab takes them for people
        :param forks: merge requests from forks are as good as others
        """
        self._client = client
        self._bots = frozenset(name.lstrip("@").casefold() for name in bots)
        self._forks = forks
        self.wanted = wanted

    async def read(self, event: Event, delivery: str) -> Happened | None:
        """What happened; None: nobody wants to hear of it. :raises ChatError: GitLab is silent"""
        if not happened.is_wanted(await self.wanted(), event.project.path, event.kind):
            return None
        if not event.key:
            event = await self._numbered(event)
        author, user = None, event.user
        if user is not None:
            author = await author_of(
                self._client, int(user["id"]), str(user["username"]), self._bots
            )
        us = await self._client.ourselves(_soon())
        about = {**event.about}
        if event.opener_id is not None:
            about["opened_by"] = await self._name(event.opener_id)
        return Happened(
            surface=SURFACE,
            delivery=delivery,
            key=event.key,
            kind=event.kind,
            repository=event.project.path,
            url=event.project.clone_url,
            author=author,
            default_branch=event.project.default_branch,
            by_us=author is not None and author.id == str(us.id),
            foreign=event.from_fork and not self._forks,
            at=event.at,
            **about,
        )

    async def _name(self, user_id: int) -> str:
        try:
            return (await self._client.user(user_id, _soon())).username
        except (Gone, Rejected):
            return ""

    async def _numbered(self, event: Event) -> Event:
        """A label with GitLab's number of giving it, which webhooks don't tell.

        :raises Unavailable: GitLab does not know of it yet; the poll finds it
        """
        number, label = event.about["number"], event.about["detail"]
        newest: Data | None = None
        path = f"{project_path(event.project.path)}/issues/{number}/resource_label_events"
        async for page in self._client.pages(path, _soon()):
            for one in page.data:
                name = bounded((one["label"] or {}).get("name"), NAME_LENGTH_MAX)
                if one["action"] == ADDED and name == label:
                    newest = max(newest or one, one, key=lambda said: int(said["id"]))
        if newest is None:
            raise Unavailable("GitLab does not list the label yet")
        key = happened.labelled(number, label, int(newest["id"]))
        return replace(event, key=key, at=moment(newest["created_at"]))


def _soon() -> Deadline:
    return Deadline.after(ASK_SECONDS)
