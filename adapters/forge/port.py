"""The forge port: a code host as a place where people talk, and as who knows what they may do.

The conversation is that of `adapters.chat.port`: a pull request or an issue is a thread, a comment
a post, and the state of a running turn stands beside it (`Limits.live` is "aside"): a check run or
a commit status, which follows the head of the pull request. Where there is none, such as on an
issue, a post of it does nothing and has the ref NOT_SHOWN.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import SecretStr

from adapters.chat.port import ChatPort, Deadline, Unavailable

BRANCHES = "ona/"
"""What the names of sessions' branches begin with."""
NOT_SHOWN = "not shown"
"""Ref of a state that has no place to stand."""


class NotLetIn(Unavailable):
    """The forge does not take our key or token: an operator can mend it."""


class Permission(enum.IntEnum):
    """What somebody may do with a repository; each includes the ones before."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


class ForgePort(ChatPort, Protocol):
    """One forge. Errors are those of `ChatPort`."""

    host: str
    """Its name in URLs of repositories, with a port where that is not the usual one."""
    web: str
    """Address of its pages, without a slash at the end: a repository is cloned from below it."""

    def repository(self, url: str) -> str | None:
        """The name (`owner/name`) that the repository at `url` has here; None: it is elsewhere."""
        ...

    async def permission(self, repository: str, account: str, deadline: Deadline) -> Permission:
        """What the account with the forge's id `account` may do with a repository, by its name.

        A repository that we can't see is one that nobody may do anything with.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """A pull request, or a merge request, as its forge has it."""

    number: int
    url: str
    """Where people see it."""
    state: Literal["open", "closed", "merged"]
    draft: bool
    head: str
    """The branch that it asks to be merged, in the repository itself."""
    base: str
    author: str
    """The login of who opened it."""
    place: str
    """Its thread, as `ChatPort` has it."""
    title: str = ""
    """Without what marks a draft."""
    body: str = ""
    """Markdown."""


@dataclass(frozen=True, kw_only=True)
class NewPullRequest:
    """A pull request that is to be opened."""

    head: str
    base: str
    title: str
    body: str
    """Markdown."""
    draft: bool


class PullRequests(Protocol):
    """The pull requests of a forge. Errors are those of `ChatPort`.

    Nothing is looked up before it is made: after `Uncertain` it is up to the caller to `find`.
    """

    async def find(self, repository: str, head: str, deadline: Deadline) -> PullRequest | None:
        """The open one from a branch of the repository itself, else the newest; None: none."""
        ...

    async def create(
        self,
        repository: str,
        new: NewPullRequest,
        deadline: Deadline,
        *,
        by: SecretStr | None = None,
    ) -> PullRequest:
        """Open one.

        :param by: the token of the person who opens it; None: we do
        :raises Rejected: there is an open one already, or nothing to merge
        :raises NotLetIn: the token does not count any more
        """
        ...

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
        """Change what it says, and whether it is a draft; None: that stays.

        Where a repository knows no drafts, it becomes none.
        """
        ...

    async def comment(self, repository: str, number: int, text: str, deadline: Deadline) -> str:
        """Say something below it; the ref of the post."""
        ...


class Cursors(Protocol):
    """Where a listener that asks again and again has read to; kept over restarts."""

    async def get(self, name: str) -> str | None:
        """What was last put under the name; None: nothing ever."""
        ...

    async def put(self, name: str, value: str) -> None:
        """Keep a value of at most 1,000 characters."""
        ...


Repositories = Callable[[], Awaitable[Sequence[str]]]
"""The names of the repositories on the forge that we have projects of."""
Wanted = Callable[[], Awaitable[Mapping[str, frozenset[str]]]]
"""What somebody wants to hear of: kinds of `Happened` by the name of their repository."""


@dataclass(frozen=True, kw_only=True)
class FoundRepository:
    """A repository, as its forge has it."""

    name: str
    """On the forge: `owner/name`."""
    url: str
    """To clone it from."""
    default_branch: str
    archived: bool
    empty: bool
    """There is no commit in it; what a search says of that may be some minutes old."""


Unfitness = Literal["", "missing", "archived", "no_rights", "empty"]


@dataclass(frozen=True, kw_only=True)
class Described:
    """Whether something can be done in a repository."""

    why: Unfitness
    """Why not: it is not there or we don't see it, nobody may write to it, we may not, or there is
    no commit in it. Empty: it can."""
    repository: FoundRepository | None
    """None: we don't see it."""


class Searches(Protocol):
    """Finds repositories of a forge. Errors are those of `ChatPort`."""

    async def search(
        self, query: str, deadline: Deadline, *, limit: int
    ) -> Sequence[FoundRepository]:
        """Those that a query in the forge's own words finds, of those that we are let into.

        A throttle is waited out where the deadline allows that.

        :param limit: more are not looked for
        :raises Rejected: the forge does not understand the query
        :raises Unavailable: it did not get to the end of it
        """
        ...

    async def describe(self, repository: str, deadline: Deadline) -> Described:
        """What a repository is like, by its name."""
        ...
