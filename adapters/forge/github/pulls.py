"""Pull requests of GitHub, opened by the app or by a person's own token."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import SecretStr

from adapters.chat.port import Deadline, Rejected
from adapters.forge.github.app import App
from adapters.forge.github.calls import PAGE
from adapters.forge.github.place import ISSUE_COMMENT, Place
from adapters.forge.port import NewPullRequest, PullRequest

_TO_DRAFT = (
    "mutation($id: ID!) { convertPullRequestToDraft(input: {pullRequestId: $id})"
    " { pullRequest { isDraft } } }"
)
_TO_READY = (
    "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id})"
    " { pullRequest { isDraft } } }"
)
NO_DRAFTS = "draft pull requests are not supported"
"""What GitHub says of private repositories on its plans without them."""


class GitHubPulls:
    """See `adapters.forge.port.PullRequests`."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def find(self, repository: str, head: str, deadline: Deadline) -> PullRequest | None:
        """See `PullRequests`."""
        owner = repository.partition("/")[0]
        query = {
            "head": f"{owner}:{head}",
            "state": "all",
            "sort": "created",
            "direction": "desc",
            "per_page": PAGE,
        }
        answer = await self._app.call(deadline, repository, "GET", "/pulls", query=query)
        found = [_read(repository, one) for one in answer.data if _is_from(one, repository, head)]
        return next((one for one in found if one.state == "open"), found[0] if found else None)

    async def create(
        self,
        repository: str,
        new: NewPullRequest,
        deadline: Deadline,
        *,
        by: SecretStr | None = None,
    ) -> PullRequest:
        """See `PullRequests`; where a repository knows no drafts, it is none."""
        try:
            return await self._create(repository, new, deadline, by)
        except Rejected as error:
            if not new.draft or NO_DRAFTS not in str(error).lower():
                raise
        return await self._create(repository, replace(new, draft=False), deadline, by)

    async def _create(
        self, repository: str, new: NewPullRequest, deadline: Deadline, by: SecretStr | None
    ) -> PullRequest:
        body = {
            "title": new.title,
            "head": new.head,
            "base": new.base,
            "body": new.body,
            "draft": new.draft,
            "maintainer_can_modify": True,
        }
        if by is None:
            made = await self._app.call(deadline, repository, "POST", "/pulls", body=body)
        else:
            path = f"/repos/{repository}/pulls"
            made = await self._app.as_person(deadline, by, "POST", path, body)
        return _read(repository, made.data)

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
        asked = {"title": title, "body": body}
        changed = {name: value for name, value in asked.items() if value is not None}
        path = f"/pulls/{pull.number}"
        answer = await self._app.call(deadline, repository, "PATCH", path, body=changed)
        now = _read(repository, answer.data)
        if draft is None or draft == now.draft:
            return now
        return await self._turn(repository, now, str(answer.data["node_id"]), deadline, draft)

    async def _turn(
        self, repository: str, now: PullRequest, node: str, deadline: Deadline, draft: bool
    ) -> PullRequest:
        """Make it a draft or ready, which REST can't."""
        try:
            await self._app.change(deadline, repository, _TO_DRAFT if draft else _TO_READY, node)
        except Rejected as error:
            if not draft or NO_DRAFTS not in str(error).lower():
                raise
            return now
        return replace(now, draft=draft)

    async def comment(self, repository: str, number: int, text: str, deadline: Deadline) -> str:
        """See `PullRequests`."""
        path = f"/issues/{number}/comments"
        made = await self._app.call(deadline, repository, "POST", path, body={"body": text})
        return f"{ISSUE_COMMENT}/{made.data['id']}"


def _is_from(found: Mapping[str, Any], repository: str, head: str) -> bool:
    """Whether it is of this branch, and not of one with the same name in a fork."""
    source = found["head"]
    name = str((source.get("repo") or {}).get("full_name") or "")
    return bool(source["ref"] == head and name.casefold() == repository.casefold())


def _read(repository: str, found: Mapping[str, Any]) -> PullRequest:
    state: Literal["open", "closed", "merged"] = "open" if found["state"] == "open" else "closed"
    if found.get("merged_at"):
        state = "merged"
    return PullRequest(
        number=int(found["number"]),
        url=str(found["html_url"]),
        state=state,
        draft=bool(found.get("draft")),
        head=str(found["head"]["ref"]),
        base=str(found["base"]["ref"]),
        author=str((found.get("user") or {}).get("login") or ""),
        place=str(Place(repository, int(found["number"]))),
        title=str(found.get("title") or ""),
        body=str(found.get("body") or ""),
    )
