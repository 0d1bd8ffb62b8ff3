"""Connections out: a name is resolved here, its addresses decided, and one of them connected to.

What was decided is what is connected to, by address; a name that is resolved again in between, to
somewhere else, changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpcore2

from vmpool.network.gateway.limits import Limits
from vmpool.network.gateway.ports import Refused, Unreachable
from vmpool.network.hosts import Address, address_of, plain
from vmpool.network.policy import Decision, Policy, decide_address

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""All addresses of a name, the best first. :raises OSError: it has none"""
RESOLVER_THREADS = 16
RESOLVING_MAX = 4
"""At once, of one machine: slow names of one keep none of the others waiting."""


class Resolver:
    """Resolves names as this host does. Closed by whoever made it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVER_THREADS, "resolver")

    async def __call__(self, host: str) -> Sequence[Address]:
        """:raises OSError: it has no address"""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolve, host)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Wait for nothing; what is being resolved is forgotten."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [plain(ipaddress.ip_address(str(each[4][0]).partition("%")[0])) for each in found]


def is_own(address: Address) -> bool:
    """Whether an address is one of this host's: only those can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((str(address), 0))
        except OSError:
            return False
    return True


class Upstream:
    """The way out of one machine."""

    def __init__(self, resolve: Resolve, limits: Limits) -> None:
        self._resolve = resolve
        self._limits = limits
        self._resolving = asyncio.Semaphore(RESOLVING_MAX)

    async def addresses(self, policy: Policy, host: str, port: int) -> list[Address]:
        """Where an allowed host may be connected to.

        :raises Refused: nowhere; why the first of its addresses is refused
        :raises Unreachable: it has no address
        """
        found = await self.resolved(host)
        decisions = [(each, _decide(policy, host, port, each)) for each in found]
        allowed = [address for address, decision in decisions if decision.allowed]
        if not allowed:
            raise Refused(decisions[0][1].reason)
        return allowed

    async def resolved(self, host: str) -> Sequence[Address]:
        """All addresses of a host. :raises Unreachable: it has none"""
        if (literal := address_of(host)) is not None:
            return [literal]
        try:
            async with asyncio.timeout(self._limits.resolve_seconds_max), self._resolving:
                found = await self._resolve(host)
        except TimeoutError as error:
            limit = f"{self._limits.resolve_seconds_max:g} s"
            raise Unreachable(f"{host} could not be resolved within {limit}.", late=True) from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{host} is allowed, but has no address here.") from error
        if not found:
            raise Unreachable(f"{host} is allowed, but has no address here.")
        return found

    async def connect(self, policy: Policy, host: str, port: int) -> tuple[socket.socket, Address]:
        """A connection to an allowed host, and where it went.

        :raises Refused: as `addresses`
        :raises Unreachable: nobody answers there
        """
        addresses = await self.addresses(policy, host, port)
        limit = self._limits.connect_seconds_max
        why = "nobody answers"
        try:
            async with asyncio.timeout(limit):
                for address in addresses:
                    try:
                        return await _connected(address, port), address
                    except OSError as error:
                        why = error.strerror or why
        except TimeoutError as error:
            late = f"{host}:{port} is allowed, but did not answer within {limit:g} s."
            raise Unreachable(late, late=True) from error
        raise Unreachable(f"{host}:{port} is allowed, but can't be reached: {why}.")


def _decide(policy: Policy, host: str, port: int, address: Address) -> Decision:
    return decide_address(policy, host, port, address, {address} if is_own(address) else ())


async def _connected(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (str(address), port))
    except BaseException:
        sock.close()
        raise
    return sock


class Checked(httpcore2.AsyncNetworkBackend):
    """Opens connections for an HTTP client, each to an address that was decided."""

    def __init__(self, where: Callable[[str, int], Awaitable[Sequence[Address]]]) -> None:
        """:param where: the addresses that a host may be connected to; raises if there are none"""
        self._where = where
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the client's interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """:raises httpcore2.ConnectError: none of its addresses answers"""
        failed: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in await self._where(host, port):
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
        raise failed
