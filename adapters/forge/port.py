"""The forge port: a code host as a place where people talk, and as who knows what they may do.

The conversation is that of `adapters.chat.port`: a pull request or an issue is a thread, a comment
a post, and the state of a running turn stands beside it (`Limits.live` is "aside"): a check run or
a commit status, which follows the head of the pull request. Where there is none, such as on an
issue, a post of it does nothing and has the ref NOT_SHOWN.
"""

import enum
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from adapters.chat.port import ChatPort, Deadline, Unavailable

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
