"""Finds projects of a GitLab, among those that our user is a member of.

A query is words, and before or between them what narrows it:

    group:acme/platform  topic:python  payments api
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from adapters.chat.port import Deadline, Gone, Rejected
from adapters.forge.gitlab.client import PAGE, Client
from adapters.forge.gitlab.levels import DEVELOPER
from adapters.forge.gitlab.places import project_path
from adapters.forge.patience import patiently
from adapters.forge.port import Described, FoundRepository

_NARROWS = ("group", "topic")


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is looked for."""

    words: str = ""
    group: str = ""
    """Its path; what is in groups of it counts too."""
    topics: tuple[str, ...] = ()
    """A project has all of them."""

    @classmethod
    def read(cls, text: str) -> "Query":
        """Read a query. :raises Rejected: it narrows by what there is not, or says nothing"""
        words, named = [], list[tuple[str, str]]()
        for word in text.split():
            name, colon, value = word.partition(":")
            if not colon:
                words.append(word)
            elif name in _NARROWS and value:
                named.append((name, value))
            else:
                raise Rejected(f"{word!r}: only group:… and topic:… narrow a search on GitLab")
        groups = [value for name, value in named if name == "group"]
        if len(groups) > 1:
            raise Rejected("a search on GitLab is in one group")
        if not words and not named:
            raise Rejected("the query says nothing")
        topics = tuple(value for name, value in named if name == "topic")
        return cls(words=" ".join(words), group="".join(groups), topics=topics)


class GitLabSearch:
    """See `adapters.forge.port.Searches`."""

    def __init__(self, client: Client) -> None:
        """`client` asks."""
        self._client = client

    async def search(
        self, query: str, deadline: Deadline, *, limit: int
    ) -> Sequence[FoundRepository]:
        """See `Searches.search`."""
        read = Query.read(query)
        found: list[FoundRepository] = []
        async for one in self._found(read, deadline):
            found.append(_read(one))
            if len(found) >= limit:
                break
        return found

    async def describe(self, repository: str, deadline: Deadline) -> Described:
        """See `Searches.describe`."""
        path = project_path(repository)
        try:
            said = (await patiently(lambda: self._client.get(path, deadline), deadline)).data
        except Gone:
            return Described(why="missing", repository=None)
        found = _read(said)
        if found.archived:
            return Described(why="archived", repository=found)
        if await self._level(path, deadline) < DEVELOPER:
            return Described(why="no_rights", repository=found)
        return Described(why="empty" if found.empty else "", repository=found)

    async def _level(self, path: str, deadline: Deadline) -> int:
        """How far we may go in a project."""
        us = await self._client.ourselves(deadline)
        member = f"{path}/members/all/{us.id}"
        try:
            said = (await patiently(lambda: self._client.get(member, deadline), deadline)).data
        except Gone:
            return 0
        return int(said["access_level"])

    async def _found(self, query: Query, deadline: Deadline) -> AsyncIterator[Mapping[str, Any]]:
        path, asked = "/projects", dict[str, object](order_by="id", sort="asc")
        if query.group:
            path = f"/groups/{quote(query.group, safe='')}/projects"
            asked |= {"include_subgroups": True, "with_shared": False}
        else:
            asked["membership"] = True
        if query.words:
            asked["search"] = query.words
        if query.topics:
            asked["topic"] = ",".join(query.topics)
        page: int | None = 1
        while page is not None:
            ask = partial(self._client.get, path, deadline, **asked, per_page=PAGE, page=page)
            answer = await patiently(ask, deadline)
            for one in answer.data:
                yield one
            page = answer.next_page


def _read(said: Mapping[str, Any]) -> FoundRepository:
    return FoundRepository(
        name=str(said["path_with_namespace"]),
        url=str(said["http_url_to_repo"]),
        default_branch=str(said.get("default_branch") or ""),
        archived=bool(said.get("archived")),
        empty=bool(said.get("empty_repo")) or not said.get("default_branch"),
    )
