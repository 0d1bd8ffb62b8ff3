"""The sockets on which the gateway listens for one machine, and who answers on which.

They are opened inside the machine's namespace and stay there, so whoever connects to one is that
machine.
"""

import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmpool.network.namespace import inside
from vmpool.network.slot import DNS_PORT, HOST_ADDRESS, PASS_PORT, PROXY_PORT, TLS_PORT, WEB_PORT

BACKLOG = 128


@dataclass(frozen=True, kw_only=True)
class Doors:
    """Listening sockets; None: not served there."""

    proxy: socket.socket | None = None
    """HTTP with CONNECT."""
    web: socket.socket | None = None
    """Plain HTTP by name, routes, and the gateway's own pages."""
    tls: socket.socket | None = None
    """TLS by server name."""
    passing: socket.socket | None = None
    """Everything that was going to an address of a name."""
    dns: socket.socket | None = None
    """UDP."""
    dns_stream: socket.socket | None = None

    def streams(self) -> dict[str, socket.socket]:
        """Those that accept connections, by name."""
        named = {
            "proxy": self.proxy,
            "web": self.web,
            "tls": self.tls,
            "passing": self.passing,
            "dns_stream": self.dns_stream,
        }
        return {name: sock for name, sock in named.items() if sock is not None}

    def close(self) -> None:
        """Listen no more."""
        for sock in (*self.streams().values(), self.dns):
            if sock is not None:
                with suppress(OSError):
                    sock.close()


def listen(address: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket at an address of the current namespace. :raises OSError: it is taken"""
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def open_doors(namespace: Path) -> Doors:
    """Open all of them inside a slot. Blocking, a millisecond or two.

    :raises OSError: there is no such slot, or somebody listens in it
    """
    opened: list[socket.socket] = []

    def act() -> Doors:
        def at(port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
            opened.append(listen(HOST_ADDRESS, port, kind))
            return opened[-1]

        return Doors(
            proxy=at(PROXY_PORT),
            web=at(WEB_PORT),
            tls=at(TLS_PORT),
            passing=at(PASS_PORT),
            dns=at(DNS_PORT, socket.SOCK_DGRAM),
            dns_stream=at(DNS_PORT),
        )

    try:
        return inside(namespace, act)
    except BaseException:
        for sock in opened:
            sock.close()
        raise
