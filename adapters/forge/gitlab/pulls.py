"""Merge requests of GitLab, opened by our user or by a person's own token."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import SecretStr

from adapters.chat.port import Deadline, Rejected, Unavailable
from adapters.forge.gitlab.client import PAGE, Client
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.port import NewPullRequest, PullRequest

DRAFT = "Draft: "
"""Before the title of a merge request that is not to be merged yet; GitLab knows no other way."""
_UNFINISHED = re.compile(r"\A(?:\s*(?:draft:|\[draft\]|\(draft\)))+\s*", re.IGNORECASE)


class GitLabPulls:
    """See `adapters.forge.port.PullRequests`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, repository: str, head: str, deadline: Deadline) -> PullRequest | None:
        """See `PullRequests`."""
        query = {
            "source_branch": head,
            "state": "all",
            "order_by": "created_at",
            "sort": "desc",
            "per_page": PAGE,
        }
        answer = await self._client.get(_path(repository), deadline, **query)
        found = [
            _read(repository, one)
            for one in answer.data
            if one["source_branch"] == head and one["source_project_id"] == one["target_project_id"]
        ]
        return next((one for one in found if one.state == "open"), found[0] if found else None)

    async def create(
        self,
        repository: str,
        new: NewPullRequest,
        deadline: Deadline,
        *,
        by: SecretStr | None = None,
    ) -> PullRequest:
        """See `PullRequests`."""
        body: dict[str, object] = {
            "source_branch": new.head,
            "target_branch": new.base,
            "title": f"{DRAFT}{new.title}" if new.draft else new.title,
            "description": new.body,
        }
        path = _path(repository)
        try:
            if by is None:
                made = await self._client.post(path, deadline, **body)
            else:
                made = await self._client.post_as(by, path, deadline, **body)
        except Unavailable as error:
            # Elsewhere a conflict is a lock that goes away; here it is the other merge request.
            if "answered 409" in str(error):
                raise Rejected(str(error)) from error
            raise
        return _read(repository, made)

    async def update(
        self,
        repository: str,
        pull: PullRequest,
        deadline: Deadline,
        *,
        title: str | None = None,
        body: str | None = None,
        draft: bool | None = None,
    ) -> PullRequest:
        """See `PullRequests`."""
        is_draft = pull.draft if draft is None else draft
        if title is not None or is_draft != pull.draft:
            title = f"{DRAFT if is_draft else ''}{pull.title if title is None else title}"
        asked = {"title": title, "description": body}
        changed: dict[str, object] = {
            name: value for name, value in asked.items() if value is not None
        }
        path = f"{_path(repository)}/{pull.number}"
        return _read(repository, await self._client.put(path, deadline, **changed))

    async def comment(self, repository: str, number: int, text: str, deadline: Deadline) -> str:
        """See `PullRequests`."""
        path = f"{_path(repository)}/{number}/notes"
        return str((await self._client.post(path, deadline, body=text))["id"])


def _path(repository: str) -> str:
    return f"{project_path(repository)}/merge_requests"


def _read(repository: str, found: Mapping[str, Any]) -> PullRequest:
    # A locked one is being merged at this moment.
    states: Mapping[str, Literal["open", "closed", "merged"]] = {
        "opened": "open",
        "locked": "open",
        "merged": "merged",
    }
    number = int(found["iid"])
    return PullRequest(
        number=number,
        url=str(found["web_url"]),
        state=states.get(str(found["state"]), "closed"),
        draft=bool(found.get("draft")),
        head=str(found["source_branch"]),
        base=str(found["target_branch"]),
        author=str((found.get("author") or {}).get("username") or ""),
        place=str(Place(project=repository, kind="merge_requests", iid=number)),
        title=_UNFINISHED.sub("", str(found["title"])),
        body=str(found.get("description") or ""),
    )
