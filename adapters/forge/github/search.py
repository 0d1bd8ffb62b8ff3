"""Finds repositories of a GitHub, among those that the App is installed in.

installations of the App ─▶ search as each of them, in its account ─▶ those that it has
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

from adapters.chat.port import Deadline, Gone, Rejected, Unavailable
from adapters.forge.github.app import App
from adapters.forge.github.calls import PAGE
from adapters.forge.patience import patiently
from adapters.forge.port import Described, FoundRepository

FOUND_MAX = 1_000
"""GitHub gives no more of one search."""
WRITES = "write"


class GitHubSearch:
    """See `adapters.forge.port.Searches`."""

    def __init__(self, app: App) -> None:
        """`app` asks."""
        self._app = app

    async def search(
        self, query: str, deadline: Deadline, *, limit: int
    ) -> Sequence[FoundRepository]:
        """See `Searches.search`; the query is GitHub's own, as in its search box."""
        found: dict[str, FoundRepository] = {}
        async for installation in self._installations(deadline):
            if installation.get("suspended_at"):
                continue
            chosen = await self._chosen(installation, deadline)
            async for one in self._found(installation, query, deadline):
                if chosen is None or int(one["id"]) in chosen:
                    found[str(one["full_name"])] = _read(one)
                if len(found) >= limit:
                    return list(found.values())
        return list(found.values())

    async def describe(self, repository: str, deadline: Deadline) -> Described:
        """See `Searches.describe`."""
        try:
            path = f"/repos/{repository}/installation"
            installed = await patiently(lambda: self._app.as_app(deadline, "GET", path), deadline)
            if installed.data.get("suspended_at"):
                return Described(why="no_rights", repository=None)
            said = await patiently(
                lambda: self._app.call(deadline, repository, "GET", ""), deadline
            )
        except Gone:
            return Described(why="missing", repository=None)
        found = _read(said.data)
        if found.archived or said.data.get("disabled"):
            return Described(why="archived", repository=found)
        if installed.data["permissions"].get("contents") != WRITES:
            return Described(why="no_rights", repository=found)
        is_empty = await self._is_empty(repository, deadline)
        return Described(why="empty" if is_empty else "", repository=found)

    async def _is_empty(self, repository: str, deadline: Deadline) -> bool:
        """Whether there is no branch; what a repository says of its size may be old."""
        answer = await patiently(
            lambda: self._app.call(deadline, repository, "GET", "/branches", query={"per_page": 1}),
            deadline,
        )
        return not answer.data

    async def _installations(self, deadline: Deadline) -> AsyncIterator[Mapping[str, Any]]:
        page, has_next = 1, True
        while has_next:
            path = f"/app/installations?per_page={PAGE}&page={page}"
            answer = await patiently(partial(self._app.as_app, deadline, "GET", path), deadline)
            for one in answer.data:
                yield one
            page, has_next = page + 1, answer.has_next

    async def _chosen(
        self, installation: Mapping[str, Any], deadline: Deadline
    ) -> frozenset[int] | None:
        """Ids of the repositories that it was let into; None: all of its account."""
        if installation.get("repository_selection") == "all":
            return None
        entries = self._pages(installation, "/installation/repositories", {}, deadline)
        return frozenset([int(one["id"]) async for page in entries for one in page["repositories"]])

    async def _found(
        self, installation: Mapping[str, Any], query: str, deadline: Deadline
    ) -> AsyncIterator[Mapping[str, Any]]:
        account = str(installation["account"]["login"])
        asked = {"q": f"{query} user:{account}"}
        count = 0
        async for page in self._pages(installation, "/search/repositories", asked, deadline):
            if page.get("incomplete_results"):
                raise Unavailable("GitHub's search did not get to its end")
            for one in page["items"]:
                # Whose they are may stand in the query too: what is another's is not ours to see.
                if str(one["owner"]["login"]).casefold() == account.casefold():
                    yield one
            count += len(page["items"])
            if count >= FOUND_MAX:
                return

    async def _pages(
        self,
        installation: Mapping[str, Any],
        path: str,
        query: Mapping[str, Any],
        deadline: Deadline,
    ) -> AsyncIterator[Mapping[str, Any]]:
        page, has_next, number = 1, True, int(installation["id"])
        while has_next:
            asked = {**query, "per_page": PAGE, "page": page}
            ask = partial(self._app.installed, deadline, number, path, query=asked)
            answer = await patiently(ask, deadline)
            if not isinstance(answer.data, dict):
                raise Rejected("what answers is no GitHub")
            yield answer.data
            page, has_next = page + 1, answer.has_next


def _read(found: Mapping[str, Any]) -> FoundRepository:
    return FoundRepository(
        name=str(found["full_name"]),
        url=f"{found['html_url']}.git",
        default_branch=str(found.get("default_branch") or ""),
        archived=bool(found.get("archived")),
        empty=int(found.get("size") or 0) == 0,
    )
