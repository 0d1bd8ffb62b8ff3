"""Repositories on our forges, by what people call them; pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from adapters.forge.port import ForgePort

LINKS_MAX = 10
"""Of one text that are looked at."""
_LINK = re.compile(r"https?://[\w.-]+(?::\d+)?/[\w.~-]+(?:/[\w.~-]+)+")
_ADDRESS = re.compile(r"^(?:[a-z+]+://)?(?:[^@/]*@)?([^/:]+(?::\d+)?)[/:]+(.+?)(?:\.git)?/*$")
_WITHIN = "/-/"
"""What separates a repository from what is in it, on GitLab."""


def linked(forges: Mapping[str, ForgePort], text: str) -> list[str]:
    """Addresses to clone from of the repositories on our forges that `text` links to, each once.

    A link to a pull request or an issue is one to its repository.
    """
    found = (_first(forges, _longest_first(link)) for link in _LINK.findall(text)[:LINKS_MAX])
    return list(dict.fromkeys(one for one in found if one is not None))


def named(forges: Mapping[str, ForgePort], name: str) -> list[str]:
    """Those that `name` can mean: an address, or `owner/name` on each of our forges."""
    if "://" in name or "@" in name:
        urls = [name]
    else:
        urls = [f"{one.web}/{name.removeprefix(f'{one.host}/')}" for one in forges.values()]
    found = (_first(forges, [url]) for url in urls)
    return list(dict.fromkeys(one for one in found if one is not None))


def shown(forges: Mapping[str, ForgePort], url: str) -> str:
    """What people call the repository at `url`: host and path."""
    for forge in forges.values():
        if (name := forge.repository(url)) is not None:
            return f"{forge.host}/{name}"
    return url


def address(url: str) -> str:
    """Host and path of a repository's URL, whatever its protocol; empty: it has none."""
    read = _ADDRESS.match(url)
    return f"{read.group(1)}/{read.group(2)}".lower() if read else ""


def is_same(url: str, other: str) -> bool:
    """Whether two URLs or absolute paths are of one repository."""
    paths = _path(url), _path(other)
    if any(paths):
        return paths[0] == paths[1]
    return address(url) == address(other) != ""


def _path(url: str) -> str:
    """Of a repository on a host; empty: it is fetched from elsewhere."""
    path = unquote(url.removeprefix("file://")) if url.startswith("file://") else url
    return path.rstrip("/").removesuffix("/.git") if path.startswith("/") else ""


def _first(forges: Mapping[str, ForgePort], urls: Iterable[str]) -> str | None:
    for url in urls:
        for forge in forges.values():
            if (name := forge.repository(url)) is not None:
                return f"{forge.web}/{name}.git"
    return None


def _longest_first(link: str) -> Iterator[str]:
    """The link and what is above it, down to two parts of a path."""
    whole = link.partition(_WITHIN)[0].rstrip(".")
    scheme, _, rest = whole.partition("://")
    parts = rest.split("/")
    for length in range(len(parts), 2, -1):
        yield f"{scheme}://{'/'.join(parts[:length])}"
