"""The gateway of a host: one service for all of its machines, each on sockets of its own."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from vmpool.network.gateway.attached import Attached, Surroundings
from vmpool.network.gateway.doors import Doors, open_doors
from vmpool.network.gateway.limits import Limits
from vmpool.network.gateway.link import Link
from vmpool.network.gateway.names import NameTable
from vmpool.network.gateway.ports import (
    Accesses,
    Audit,
    Identity,
    Names,
    Refused,
    Unreachable,
)
from vmpool.network.gateway.proxy import serve_http
from vmpool.network.gateway.resolver import Asked
from vmpool.network.gateway.routes import client_tls
from vmpool.network.gateway.tunnel import begins_tls, destination, pass_on, serve_tls
from vmpool.network.gateway.upstream import Resolve, Resolver

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
            resolve=resolve or self._own_resolver,  # type: ignore[arg-type]
            limits=limits or Limits(),
            tls=tls or client_tls(),
        )
        self._machines: dict[UUID, _Service] = {}
        self._turns: dict[UUID, asyncio.Lock] = {}

    async def attach(self, where: Path | Doors, who: Identity) -> None:
        """Serve a machine; one that is attached is served anew, as who it is now.

        :param where: its network namespace, or sockets, which are the gateway's from now on
        :raises OSError: there is no such namespace, or somebody listens in it
        """
        async with self._turn(who.machine):
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
        async with self._turn(machine):
            service = self._machines.get(machine)
            if service is not None and service.where == where:
                await self._end(machine)

    def identify(self, who: Identity) -> None:
        """Say whose a machine is from now on; one that is not attached is left alone."""
        service = self._machines.get(who.machine)
        if service is not None:
            service.at.who = who

    async def detach(self, machine: UUID) -> None:
        """Serve a machine no more, and end what it has open; none attached is success."""
        async with self._turn(machine):
            await self._end(machine)
        self._turns.pop(machine, None)

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

    def _turn(self, machine: UUID) -> asyncio.Lock:
        return self._turns.setdefault(machine, asyncio.Lock())

    async def _end(self, machine: UUID) -> None:
        service = self._machines.pop(machine, None)
        if service is not None:
            await service.close()


class _Service:
    """Accepts what comes from one machine."""

    def __init__(self, at: Attached, doors: Doors, where: Path | Doors) -> None:
        self.at = at
        self.where = where
        self._doors = doors
        self._asked = Asked(at)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._serving: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        for name, sock in doors.streams().items():
            loop.add_reader(sock, self._accept, name, sock)
        if doors.dns is not None:
            loop.add_reader(doors.dns, self._asked.datagrams, doors.dns, self._start)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, door: str, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            if self._connections >= self.at.limits.connections_max:
                # A reset says at once that there is no room.
                sock.close()
                continue
            self._connections += 1
            sock.setblocking(False)
            self._start(self._serve(door, sock))

    async def _serve(self, door: str, sock: socket.socket) -> None:
        link, task = Link(sock), asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self.at.limits.connection_seconds_max):
                await self._served(door, link)
        except (OSError, Refused, Unreachable):  # TimeoutError is one; the client sees the end
            pass
        except Exception:
            log.exception("gateway_connection_failed", machine=str(self.at.who.machine), door=door)
        finally:
            self._serving.discard(task)
            self._connections -= 1
            sock.close()

    def _served(self, door: str, link: Link) -> Awaitable[None]:
        match door:
            case "proxy":
                return serve_http(self.at, link, is_proxy=True)
            case "web":
                return serve_http(self.at, link)
            case "tls":
                return serve_tls(self.at, link)
            case "dns_stream":
                return self._asked.stream(link)
            case _:
                return _passing(self.at, link)

    def cut(self) -> None:
        """End the connections that are open."""
        # One that was accepted and not begun yet asks for its access later than now.
        for task in tuple(self._serving):
            task.cancel()

    async def close(self) -> None:
        """Accept no more, end what is open."""
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


async def _passing(at: Attached, link: Link) -> None:
    passage = await destination(at, link)
    if passage.decision.any_protocol or await begins_tls(at, link, passage):
        with await at.connect(passage) as upstream:
            await pass_on(at, link, upstream, passage)
    else:
        await serve_http(at, link, pinned=(passage.host, passage.port))
