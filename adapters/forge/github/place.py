"""Addresses of GitHub's threads, of what is said in them, and of repositories; pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from adapters.chat.port import Rejected
from adapters.forge.hosts import host_name

SURFACE = "github"
ISSUE_COMMENT = "issue_comment"
"""Kind of what is said below an issue or a pull request."""
REVIEW_COMMENT = "review_comment"
"""Kind of what is said at a line of code."""
REVIEW = "review"
"""Kind of the words that a review ends with."""
REVIEWED = "reviewed"
"""Kind of a review of what a session did, with all that it says at lines of code."""

_NAME = r"[\w-]+/(?!\.{1,2}(?![\w.-]))[\w.-]+"
_PLACE = re.compile(rf"({_NAME})#(\d{{1,18}})(?:/r(\d{{1,18}}))?", re.ASCII)
_REPOSITORY = re.compile(_NAME, re.ASCII)
_SCP = re.compile(r"(?:[^@/]+@)?([^:/@]+):(?!//)/?(.+)")
_WEB = frozenset({"http", "https"})
_USUAL = {"http": 80, "https": 443}
_SCHEMES = _WEB | {"ssh", "git", "git+ssh"}


@dataclass(frozen=True)
class Place:
    """A thread: an issue's or pull request's, or one at a line of a pull request's code."""

    repository: str
    """`owner/name`."""
    number: int
    root: int | None = None
    """Id of the comment that began an inline thread."""

    @classmethod
    def read(cls, place: str) -> "Place":
        """Read an address. :raises Rejected: it is no place of GitHub"""
        found = _PLACE.fullmatch(place)
        if found is None:
            raise Rejected(f"{place!r} is no place of GitHub")
        repository, number, root = found.groups()
        return cls(repository, int(number), None if root is None else int(root))

    @property
    def whole(self) -> "Place":
        """The thread of the pull request or issue itself."""
        return Place(self.repository, self.number)

    @property
    def owner(self) -> str:
        """The account that the repository is of."""
        return self.repository.partition("/")[0]

    def __str__(self) -> str:
        whole = f"{self.repository}#{self.number}"
        return whole if self.root is None else f"{whole}/r{self.root}"


def stamp_of(time: datetime) -> str:
    """A time as GitHub writes it, in whole seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def web_address(api_url: str) -> str:
    """Where people see a GitHub whose API is at `api_url`, such as `https://github.com`."""
    url = urlsplit(api_url)
    host = url.netloc
    if not url.path.strip("/"):
        # Enterprise Server has its API below the host that people see, the others beside it.
        host = host.removeprefix("api.")
    return f"{url.scheme}://{host}"


def repository_of(url: str, web: str) -> str | None:
    """The `owner/name` of the repository at `url`; None: it isn't on the GitHub at `web`."""
    here, found = _parts(web), _parts(url)
    if here is None or found is None or found[0] != here[0]:
        return None
    # A port says something of the web alone: that of SSH is another one anyway.
    if url.partition("://")[0] in _WEB and found[1] != here[1]:
        return None
    name = found[2].strip("/").removesuffix(".git")
    return name if _REPOSITORY.fullmatch(name) else None


def _parts(url: str) -> tuple[str, int | None, str] | None:
    """Host, port where it isn't the usual one, and path; None: it is no such address."""
    if "://" not in url:
        scp = _SCP.fullmatch(url)
        return (host_name(url), None, scp[2]) if scp else None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES or parts.hostname is None:
        return None
    return host_name(url), None if port == _USUAL.get(parts.scheme) else port, parts.path
