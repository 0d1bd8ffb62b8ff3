"""URLs of repositories on a GitLab; pure."""

import re
from urllib.parse import SplitResult, urlsplit

_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):/?(?P<path>[^/].*)")
_NAME = re.compile(r"[\w.][\w.-]*(?:/[\w.][\w.-]*)+")


def host_of(url: str) -> str:
    """Host of an HTTP URL in lower case, with its port where that is not the scheme's.

    :raises ValueError: it is no URL
    """
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return f"{parts.hostname or ''}{port}"


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
    if "://" not in url:
        scp = _SCP.fullmatch(url)
        return scp["path"] if scp and scp["host"].lower() == base.hostname else None
    parts = urlsplit(url)
    if parts.scheme == "ssh":
        return parts.path if parts.hostname == base.hostname else None
    if parts.scheme not in {"http", "https"} or host_of(url) != host_of(base.geturl()):
        return None
    root = base.path.rstrip("/")
    return parts.path.removeprefix(root) if parts.path.startswith(f"{root}/") else None
