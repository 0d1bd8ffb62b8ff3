"""Keeps a Python process off the internet: it may speak to this machine and its networks alone.

Whatever else it looks up or connects to is refused before anything is sent, and written down, so
that a test fails that asked for it also where the refusal was swallowed. What speaks past Python's
sockets (libpq, node, what runs in a machine) is not seen. A network namespace that a test made has
no way to the internet: whoever is in one may say what it wants.
"""

import os
import sys

TOLD = "TESTS_OFFLINE_TOLD"
"""Names the file that has a line for each refusal; without it nothing is guarded."""
ONLINE = "TESTS_ONLINE"
"""Set while a test runs that is marked for what it fetches."""
NETWORK = "TESTS_NETWORK"
"""The number of the network namespace in which tests run."""
RESERVED = ("localhost", "test", "invalid", "example", "internal", "ona", "local")
"""Last parts of names that stand for nobody on the internet."""


class Offline(ConnectionRefusedError):
    """Somebody asked for the internet."""


def refusal(event: str, arguments: tuple[object, ...]) -> str | None:
    """What is wrong with what a process does; None: nothing."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return None
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str) or _is_here(name, looked_up=not event.endswith(("connect", "to"))):
        return None
    return f"{event} of {name}: tests run without the internet"


def _is_here(name: str, *, looked_up: bool) -> bool:
    from ipaddress import ip_address
    from socket import gethostname

    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        # Of a name that is connected to, the lookup is told by itself, too.
        last = name.rstrip(".").rpartition(".")[2].lower()
        return not (looked_up and name) or last in RESERVED or name == gethostname()
    return looked_up or not address.is_global or address.is_multicast


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith("socket.") or ONLINE in os.environ or TOLD not in os.environ:
        return
    wrong = refusal(event, arguments)
    if wrong is None or os.environ.get(NETWORK) != network():
        return
    with open(os.environ[TOLD], "a", encoding="utf-8") as told:
        told.write(f"{wrong} (by {' '.join(sys.orig_argv[-3:])})\n")
    raise Offline(wrong)


def network() -> str:
    """The network namespace of this thread."""
    return str(os.stat("/proc/thread-self/ns/net").st_ino)


def install() -> None:
    """Guard this process from now on; it can't be undone."""
    sys.addaudithook(_guard)
