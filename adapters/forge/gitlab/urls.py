"""URLs of repositories on a GitLab; pure."""

import re
from urllib.parse import SplitResult, urlsplit

from adapters.forge.hosts import host_name

_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):/?(?P<path>[^/].*)")
_USUAL = {"http": 80, "https": 443}
_NAME = re.compile(r"[\w.][\w.-]*(?:/[\w.][\w.-]*)+")


def host_of(url: str) -> str:
    """Host of an HTTP URL in lower case, with its port where that is not the scheme's.

    :raises ValueError: it is no URL
    """
    parts = urlsplit(url)
    port = _port(parts)
    return f"{parts.hostname or ''}{'' if port is None else f':{port}'}"


def _port(parts: SplitResult) -> int | None:
    """Where it isn't the scheme's. :raises ValueError:"""
    return None if parts.port == _USUAL.get(parts.scheme) else parts.port


def repository_name(url: str, base: str) -> str | None:
    """`group/subgroup/name` of a URL by HTTP or SSH, or as `git@host:path`; None: elsewhere.

    SSH has a port of its own, so that there only the host's name counts.

    :param base: URL of the GitLab's pages
    """
    try:
        path = _path(url.strip(), urlsplit(base))
    except ValueError:
        return None
    name = (path or "").strip("/").removesuffix(".git")
    return name if _NAME.fullmatch(name) else None


def _path(url: str, base: SplitResult) -> str | None:
    """Path of the repository, if it is on the host of `base`. :raises ValueError:"""
    is_here = host_name(url) == host_name(base.geturl())
    if "://" not in url:
        scp = _SCP.fullmatch(url)
        return scp["path"] if scp and is_here else None
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        return parts.path if is_here else None
    if parts.scheme not in _USUAL or not is_here or _port(parts) != _port(base):
        return None
    root = base.path.rstrip("/")
    return parts.path.removeprefix(root) if parts.path.startswith(f"{root}/") else None
