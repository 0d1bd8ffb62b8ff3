"""Names of hosts in addresses of repositories, however they are spelled; pure."""

import re
import unicodedata
from urllib.parse import unquote, urlsplit

_OTHER_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_FRONTS = ("www.", "ssh.", "altssh.")
"""Of names that GitHub and GitLab answer to besides their own, SSH on the web's port among them."""
_AUTHORITY = re.compile(r"[^/?#]*")


def host_name(address: str) -> str:
    """Name of the host that a repository is fetched from, without its port.

    Names that differ in nothing that whoever fetches looks at come out the same.

    :param address: a URL, or `user@host:path`
    :returns: "": the address is of no host, such as a path
    """
    address = address.strip()
    if "://" not in address:
        return "" if address.startswith("/") else _plain(_scp_host(address))
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        # Whoever fetches may read it more kindly than we do.
        authority = _AUTHORITY.match(address.partition("://")[2])
        host = _scp_host(f"{authority[0] if authority else ''}:")
    return _plain(host)


def _scp_host(address: str) -> str:
    """Of `user@host:path`; brackets may stand around the host, or around it and a port."""
    head = address.partition("/")[0].rpartition("@")[2]
    if ":" not in head:
        return ""
    host = head.removeprefix("[").partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _plain(host: str) -> str:
    host = unicodedata.normalize("NFKC", unquote(host).translate(_OTHER_DOTS))
    host = host.casefold().rstrip(".")
    for front in _FRONTS:
        if "." in host.removeprefix(front):
            host = host.removeprefix(front)
    return host
