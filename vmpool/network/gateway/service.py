"""The gateway of a host: one service for all of its machines, each on sockets of its own."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from vmpool.network.gateway.attached import Attached, Passage, Surroundings
from vmpool.network.gateway.doors import Doors, open_doors
from vmpool.network.gateway.limits import Limits
from vmpool.network.gateway.link import Link
from vmpool.network.gateway.names import NameTable
from vmpool.network.gateway.ports import (
    Accesses,
    Asks,
    Audit,
    Identity,
    Names,
    Refused,
    Unreachable,
    asks_nobody,
)
from vmpool.network.gateway.proxy import serve_http
from vmpool.network.gateway.resolver import Asked
from vmpool.network.gateway.routes import client_tls
from vmpool.network.gateway.tunnel import begins_tls, destination, pass_on, serve_tls
from vmpool.network.gateway.upstream import Resolve, Resolver
from vmpool.network.slot import DNS_PORT, HOST_ADDRESS, PROXY_PORT, TLS_PORT, WEB_PORT
from vmpool.network.way_out import Listen

log = structlog.get_logger(__name__)

ACCEPTED_A_TURN = 16


class Gateway:
    """The only way out of the machines of one host. Runs on one event loop."""

    def __init__(
        self,
        *,
        access: Accesses,
        audit: Audit,
        names: Names,
        asks: Asks = asks_nobody,
        limits: Limits | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is attached yet. See `vmpool.network.gateway.ports` for what is given.

        :param resolve: None: as this host resolves
        :param tls: how upstreams of routes are known; None: by what this host trusts
        """
        self._own_resolver = Resolver() if resolve is None else None
        self._names = names
        self._around = Surroundings(
            access=access,
            audit=audit,
            asks=asks,
            resolve=resolve or self._own_resolver,  # type: ignore[arg-type]
            limits=limits or Limits(),
            tls=tls or client_tls(),
        )
        self._machines: dict[UUID, _Service] = {}
        self._alone: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        """By machine; one that nobody holds or waits for is forgotten."""

    async def attach(self, where: Path | Doors, who: Identity) -> None:
        """Serve a machine; one that is attached is served anew, as who it is now.

        :param where: its network namespace, or sockets, which are the gateway's from now on
        :raises OSError: there is no such namespace, or somebody listens in it
        """
        async with self._lock(who.machine):
            await self._end(who.machine)
            table = NameTable(who.machine, self._names, self._around.limits.names_max)
            await table.load()
            doors = (
                where if isinstance(where, Doors) else await asyncio.to_thread(open_doors, where)
            )
            self._machines[who.machine] = _Service(Attached(who, table, self._around), doors, where)

    async def serve(self, machine: UUID, where: Path) -> None:
        """Attach a machine; whose it is, `access` tells. See `vmpool.network.way_out`."""
        await self.attach(where, Identity(machine=machine))

    async def leave(self, machine: UUID, where: Path) -> None:
        """Detach a machine from a slot; one that is served in another is left alone."""
        async with self._lock(machine):
            service = self._machines.get(machine)
            if service is not None and service.where == where:
                await self._end(machine)

    async def serve_over(self, machine: UUID, listen: Listen) -> None:
        """Serve a machine without a network device. See `vmpool.network.way_out`."""
        await self.attach(Doors(), Identity(machine=machine))
        service = self._machines.get(machine)
        if service is not None:
            await service.listen_over(listen)

    def identify(self, who: Identity) -> None:
        """Say whose a machine is from now on; one that is not attached is left alone."""
        service = self._machines.get(who.machine)
        if service is not None:
            service.at.who = who

    async def detach(self, machine: UUID) -> None:
        """Serve a machine no more, and end what it has open; none attached is success."""
        async with self._lock(machine):
            await self._end(machine)

    def cut(self, machine: UUID) -> None:
        """End what a machine has open; it is served on, as `access` says from now on."""
        service = self._machines.get(machine)
        if service is not None:
            service.cut()

    def attached(self) -> tuple[UUID, ...]:
        """Which machines are served."""
        return tuple(self._machines)

    async def close(self) -> None:
        """Serve nobody."""
        for machine in self.attached():
            await self.detach(machine)
        if self._own_resolver is not None:
            self._own_resolver.close()

    def _lock(self, machine: UUID) -> asyncio.Lock:
        return self._alone.setdefault(machine, asyncio.Lock())

    async def _end(self, machine: UUID) -> None:
        service = self._machines.pop(machine, None)
        if service is not None:
            await service.close()


_Serves = Callable[["_Service", Link], Awaitable[None]]
"""Answers a connection."""


class _Service:
    """Accepts what comes from one machine."""

    def __init__(self, at: Attached, doors: Doors, where: Path | Doors) -> None:
        self.at = at
        self.where = where
        self._doors = doors
        self.asked = Asked(at)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._closed = False
        self._serving: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        for name, sock in doors.streams().items():
            loop.add_reader(sock, self._accept, _SERVED[name], sock)
        if doors.dns is not None:
            loop.add_reader(doors.dns, self.asked.datagrams, doors.dns, self._start)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def listen_over(self, listen: Listen) -> None:
        """Open the same doors inside the machine, and one for each port of a name it asks for."""
        self.at.opens = partial(self._open_name, listen, set(), asyncio.Lock())
        await asyncio.gather(
            *(
                listen(HOST_ADDRESS, port, partial(self._take, _SERVED[door]))
                for door, port in _OVER_CHANNEL.items()
            )
        )
        # Programs that slept have the addresses in their memory.
        self._start(self.at.open_again())

    async def _open_name(
        self,
        listen: Listen,
        opened: set[tuple[str, int]],
        opening: asyncio.Lock,
        name: str,
        port: int,
    ) -> None:
        # Whoever asks for it meanwhile is answered when it is open, and not before.
        async with opening:
            address = await self.at.names.address(name)
            if address is None or (name, port) in opened:
                return
            await listen(str(address), port, partial(self._take, partial(_to_name, name, port)))
            opened.add((name, port))

    def _accept(self, serves: _Serves, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            self._take(serves, sock)

    def _take(self, serves: _Serves, sock: socket.socket) -> None:
        if self._closed or self._connections >= self.at.limits.connections_max:
            # A reset says at once that there is no room.
            sock.close()
            return
        self._connections += 1
        sock.setblocking(False)
        self._start(self._serve(serves, sock))

    async def _serve(self, serves: _Serves, sock: socket.socket) -> None:
        link, task = Link(sock), asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self.at.limits.connection_seconds_max):
                await serves(self, link)
        except (OSError, Refused, Unreachable):  # TimeoutError is one; the client sees the end
            pass
        except Exception:
            log.exception("gateway_connection_failed", machine=str(self.at.who.machine))
        finally:
            self._serving.discard(task)
            self._connections -= 1
            sock.close()

    def cut(self) -> None:
        """End the connections that are open."""
        # One that was accepted and not begun yet asks for its access later than now.
        for task in tuple(self._serving):
            task.cancel()

    async def close(self) -> None:
        """Accept no more, end what is open."""
        self._closed = True
        loop = asyncio.get_running_loop()
        for sock in (*self._doors.streams().values(), self._doors.dns):
            if sock is not None:
                loop.remove_reader(sock)
        self._doors.close()
        for task in tuple(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self.at.close()


async def _to_name(name: str, port: int, service: _Service, link: Link) -> None:
    await _pass(service.at, link, await service.at.decide("tcp", name, port))


async def _passing(service: _Service, link: Link) -> None:
    await _pass(service.at, link, await destination(service.at, link))


async def _pass(at: Attached, link: Link, passage: Passage) -> None:
    if passage.decision.any_protocol or await begins_tls(at, link, passage):
        with await at.connect(passage) as upstream:
            await pass_on(at, link, upstream, passage)
    else:
        await serve_http(at, link, pinned=(passage.host, passage.port))


_SERVED: Mapping[str, _Serves] = {
    "proxy": lambda service, link: serve_http(service.at, link, is_proxy=True),
    "web": lambda service, link: serve_http(service.at, link),
    "tls": lambda service, link: serve_tls(service.at, link),
    "dns_stream": lambda service, link: service.asked.stream(link),
    "passing": _passing,
}
"""By door; see `Doors`."""

_OVER_CHANNEL = {
    "proxy": PROXY_PORT,
    "web": WEB_PORT,
    "tls": TLS_PORT,
    "dns_stream": DNS_PORT,
}
"""The doors that a channel can have: no datagrams, and no connection that was turned there."""
