"""One machine at the gateway: who it is, what it may, what it has open, what it was refused."""

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from socket import socket

import httpcore2
import structlog

from vmpool.errors import MachineError
from vmpool.network.gateway.limits import Bucket, Limits
from vmpool.network.gateway.names import NameTable
from vmpool.network.gateway.ports import Access, Accesses, Asks, Audit, Event, Identity, Refused
from vmpool.network.gateway.routes import Route
from vmpool.network.gateway.upstream import Checked, Resolve, Upstream
from vmpool.network.hosts import Address, normalise
from vmpool.network.policy import Decision, Policy, Routed, decide, open_ports

log = structlog.get_logger(__name__)

Opens = Callable[[str, int], Awaitable[None]]
"""Has a machine listen at the address of a name, on a port, for the gateway."""
DENIED_KEPT = 50
"""The last ones, for people and agents to look at."""
HOST_CHARACTERS_KEPT = 253
GATEWAY = "gateway.ona"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all machines of a gateway share."""

    access: Accesses
    audit: Audit
    asks: Asks
    resolve: Resolve
    limits: Limits
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A host and port that the policy allows."""

    way: str
    """See `Event`."""
    host: str
    """Normalised."""
    port: int
    policy: Policy
    decision: Decision


class Attached:
    """What the gateway has of one machine."""

    def __init__(self, who: Identity, names: NameTable, around: Surroundings) -> None:
        self.who = who
        self.names = names
        self.limits = around.limits
        self.denied: deque[Event] = deque(maxlen=DENIED_KEPT)
        self.bytes = Bucket(self.limits.bytes_per_second_max, self.limits.burst_bytes_max)
        self.opens: Opens | None = None
        """None: the machine's connections to all addresses of names come here by themselves."""
        self._around = around
        self._upstream = Upstream(around.resolve, self.limits)
        self._pools: dict[bool, httpcore2.AsyncConnectionPool] = {}

    async def access(self) -> Access:
        """What it may reach now. A route's hosts have no other way, whatever the policy says."""
        access = await self._around.access(self.who)
        self.who = access.who or self.who
        routed = tuple(
            Routed(host, route.prefix) for route in access.routes for host in route.hosts
        )
        policy = replace(access.policy, routed=(*access.policy.routed, *routed))
        return Access(policy, access.routes)

    async def decide(self, way: str, host: str, port: int) -> Passage:
        """What the policy says of a host. :raises Refused: no, which is noted"""
        policy = (await self.access()).policy
        decision = decide(policy, host, port)
        if not decision.allowed:
            decision = await self.asked(decision, host, port)
            raise self.refused(way, host, port, decision.reason, decision)
        host = normalise(host)
        return Passage(way=way, host=host, port=port, policy=policy, decision=decision)

    async def asked(self, decision: Decision, host: str, port: int) -> Decision:
        """Have people asked about what is refused, where they may be; the refusal says so."""
        if not decision.open:
            return decision
        told = await self._around.asks(self.who, normalise(host), port)
        return replace(decision, reason=f"{decision.reason} {told}".rstrip())

    async def open_name(self, name: str, ports: Sequence[int]) -> None:
        """See to it that connections to the address of a name reach the gateway."""
        if self.opens is None:
            return
        for port in ports:
            try:
                await self.opens(name, port)
            except MachineError as error:
                log.warning(
                    "name_not_opened",
                    machine=str(self.who.machine),
                    name=name,
                    port=port,
                    error=str(error),
                )

    async def open_again(self) -> None:
        """The same for every name that has an address and is allowed still."""
        policy = (await self.access()).policy
        for name in self.names.known():
            await self.open_name(name, open_ports(policy, name))

    async def connect(self, passage: Passage) -> socket:
        """Connect to where it is allowed to, and note it.

        :raises Refused: its addresses are not
        :raises Unreachable: nobody answers there
        """
        way, host, port = passage.way, passage.host, passage.port
        try:
            sock, address = await self._upstream.connect(passage.policy, host, port)
        except Refused as error:
            raise self.refused(way, host, port, str(error)) from error
        self.note(way, host, port, passage.decision, address)
        return sock

    def refused(
        self, way: str, host: str, port: int, reason: str, decision: Decision | None = None
    ) -> Refused:
        """Note that something was refused."""
        self.note(way, host, port, decision or Decision(False, reason))
        return Refused(reason)

    def note(
        self, way: str, host: str, port: int, decision: Decision, address: Address | None = None
    ) -> None:
        """Tell the audit, and keep what was refused for the machine to look at."""
        rule = decision.rule
        event = Event(
            who=self.who,
            way=way,
            host=_printable(host),
            port=port,
            allowed=decision.allowed,
            reason=decision.reason,
            rule=None if rule is None else f"{rule} ({rule.source})",
            address=None if address is None else str(address),
        )
        if not event.allowed:
            self.denied.append(event)
        self._around.audit(event)

    def pool(self, route: bool) -> httpcore2.AsyncConnectionPool:
        """Connections of plain HTTP and of routes, kept between requests.

        :param route: whoever set up a route named its upstream, wherever that is
        """
        if route not in self._pools:
            self._pools[route] = httpcore2.AsyncConnectionPool(
                ssl_context=self._around.tls,
                max_connections=self.limits.connections_max,
                max_keepalive_connections=self.limits.connections_kept_max,
                keepalive_expiry=30.0,
                network_backend=Checked(self._named if route else self._allowed),
            )
        return self._pools[route]

    async def _allowed(self, host: str, port: int) -> Sequence[Address]:
        policy = (await self.access()).policy
        try:
            return await self._upstream.addresses(policy, host, port)
        except Refused as error:
            raise self.refused("http", host, port, str(error)) from error

    async def _named(self, host: str, _port: int) -> Sequence[Address]:
        return await self._upstream.resolved(host)

    def route(self, access: Access, path: str) -> Route | None:
        """The route that a path belongs to."""
        fits = [route for route in access.routes if path.startswith(route.prefix)]
        return max(fits, key=lambda route: len(route.prefix), default=None)

    async def close(self) -> None:
        """Let go of what is kept open."""
        for pool in self._pools.values():
            with suppress(httpcore2.NetworkError, OSError, asyncio.TimeoutError):
                await pool.aclose()
        self._pools.clear()


def _printable(host: str) -> str:
    """What a client called a host, fit for a log."""
    return "".join(sign if sign.isprintable() else "?" for sign in host[:HOST_CHARACTERS_KEPT])
