"""A pool with its rows in PostgreSQL over a fake host whose machines run the real guest program."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.store.ids import new_id
from tests.fakes.driver import FakeDriver, FakeHost, FakeMachine
from tests.fakes.driver_trouble import LyingGuest, SilentGuest
from tests.fakes.guest import HostedGuest, hosted_guest
from tests.fakes.mortal import Mortal
from tests.integration.conftest import DEMO, Town
from vmpool.channel import Channel, open_machine
from vmpool.driver import Image, MachineSpec
from vmpool.machine import Machine, MachineState
from vmpool.memory import HostMemory, host_memory
from vmpool.network.way_out import WayOverChannel
from vmpool.opening import Opened
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.warm.building import Builder
from vmpool.warm.demand import Demands
from vmpool.warm.keeper import Keeper, KeeperLimits
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.stock import Stock, StockLimits

SPEC = MachineSpec(
    image=Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest="x"),
    vcpus=1,
    memory_mib=128,
    disk_gib=1,
)


_LONG_HEARD = text("UPDATE host SET heard_since = now() - interval '1 day' WHERE id = :id")
DEMAND = SizingLimits(hot_min=1, hot_max=4, cold_min=1, cold_max=4, keep_seconds=86400)
PATIENCE_WITH_THE_SILENT = 0.02
"""Share of the limit, so that a test need not wait it out."""
PATHS = {
    "running": (),
    "hibernating": ("hibernating",),
    "resting": ("hibernating", "resting"),
    "starting": ("hibernating", "resting", "starting"),
    "lost": ("lost",),
    "removing": ("removing",),
}
"""From `running` to each state on legal moves; the database allows no others."""


class GuestProcess:
    """The memory of a fake machine: a guest program on this host."""

    def __init__(self, guest: HostedGuest) -> None:
        self._guest = guest
        self._one = asyncio.Lock()
        self._line: tuple[socket.socket, socket.socket] | None = None
        """The host's end and the guest's: it outlives a pause."""

    async def serve(self, sock: socket.socket) -> None:
        async with self._one:
            guest = await self._connected(sock)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(sock, guest))
                    group.create_task(_copy(guest, sock))
            except* OSError:
                self.hang_up()

    async def _connected(self, sock: socket.socket) -> socket.socket:
        if self._line is None or self._line[0] is not sock:
            self.hang_up()
            self._line = sock, await self._guest.connect()
        return self._line[1]

    def hang_up(self) -> None:
        """Let the guest see that nobody is there."""
        if self._line is not None:
            self._line[1].close()
            self._line = None


async def _copy(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, 65536):
        # What was taken is given, also when the machine is paused in this moment.
        await asyncio.shield(asyncio.ensure_future(loop.sock_sendall(sink, data)))
    raise ConnectionResetError


@dataclass(kw_only=True)
class Yard:
    """One host: its pool, its rows, its fake machines, and what the sessions were told."""

    town: Town
    host: FakeHost
    driver: FakeDriver
    pool: Pool
    registry: Registry
    rows: Rows
    order: Order
    stock: Stock
    builder: Builder
    keeper: Keeper
    told: list[tuple[UUID, str, dict[str, Any]]] = field(default_factory=list)
    deaf: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is set no session can be told anything."""
    steps: list[str] = field(default_factory=list)
    tokens: int = 0

    async def session(self, words: str = "!a") -> UUID:
        """A new session."""
        accepted = await self.town.say(words, place=f"place-{new_id()}")
        assert accepted.session_id is not None
        return accepted.session_id

    @asynccontextmanager
    async def open(
        self,
        session_id: UUID,
        *,
        token: int | None = None,
        only: UUID | None = None,
        order: Order | None = None,
    ) -> AsyncIterator[Opened]:
        """The session's machine, as a turn has it, with a newer token each time."""
        self.tokens += 1

        async def step(name: str) -> None:
            self.steps.append(name)

        async with self.pool.open(
            session_id, order or self.order, token=token or self.tokens, only=only, step=step
        ) as opened:
            yield opened

    async def opened(self, session_id: UUID) -> UUID:
        """The id of the session's machine, after a turn that did nothing."""
        async with self.open(session_id) as opened:
            return opened.machine_id

    async def row(self, machine_id: UUID) -> Machine:
        machine = await self.registry.get(machine_id)
        assert machine is not None
        return machine

    async def state(self, machine_id: UUID) -> MachineState:
        return (await self.row(machine_id)).state

    async def became(self, machine_id: UUID, state: MachineState) -> None:
        """Wait for a state; fails after some seconds."""
        async with asyncio.timeout(100):
            while await self.state(machine_id) is not state:
                await asyncio.sleep(0.01)

    async def put(self, machine_id: UUID, **columns: Any) -> None:
        """Change a row behind the pool's back, as an earlier process or a person did."""
        assigned = ", ".join(f"{name} = :{name}" for name in columns)
        async with self.town.database.begin() as tx:
            await tx.execute(
                text(f"UPDATE machine SET {assigned} WHERE id = :id"), {"id": machine_id, **columns}
            )

    async def reach(self, machine_id: UUID, state: str) -> None:
        """Move a running machine's row on to `state`, and nothing but the row."""
        for step in PATHS[state]:
            await self.registry.move(machine_id, MachineState(step))

    async def report(self) -> None:
        """Say that the host is here, as its process does every few seconds."""
        await self.registry.report_host(driver="fake", accelerator="none", boot_id="b")

    def said(self, session_id: UUID) -> list[str]:
        """The states that the session was told, in order."""
        return [state for session, state, _ in self.told if session == session_id]

    def why(self) -> str:
        """What was said last."""
        return str(self.told[-1][2].get("why", ""))


class Yards:
    """Makes yards on one database; a second one on the same host is a restarted process."""

    def __init__(
        self, town: Town, stack: AsyncExitStack, authority: Authority, host_id: UUID | None = None
    ) -> None:
        self._town = town
        self._host_id = host_id or town.host_id
        self._stack = stack
        self._authority = authority
        self._guests: dict[str, HostedGuest] = {}

        def memory(machine: FakeMachine, *, generation: int = 0) -> GuestProcess:
            guest = stack.enter_context(hosted_guest(generation=generation))
            self._guests[machine.machine_id] = guest
            process = GuestProcess(guest)
            stack.callback(process.hang_up)
            return process

        # Whoever a template was made of was booted, and so told one.
        self.host = FakeHost(memory, clone=lambda _, machine: memory(machine, generation=1))
        stack.push_async_callback(self.host.close)

    def make(
        self,
        driver: FakeDriver | None = None,
        *,
        demand: SizingLimits | None = None,
        mortal: Mortal | None = None,
        memory: Callable[[], HostMemory] = host_memory,
        way_out: WayOverChannel | None = None,
        **limits: Any,
    ) -> Yard:
        """A pool over `driver` (the kind one, if none is given) and the host."""
        known = {
            "running_max": 2,
            "boot_seconds": 20.0,
            "resume_seconds": 20.0,
            "idle_seconds": 600.0,
            "retention_days": 14.0,
        }
        driver = driver or FakeDriver(self.host)
        mortal = mortal or Mortal()
        driver = mortal.driver(driver)
        begin = mortal.begin(self._town.database.session)
        registry = Registry(begin, self._host_id, new_id)
        told: list[tuple[UUID, str, dict[str, Any]]] = []
        deaf = asyncio.Event()

        async def tell(session_id: UUID, state: str, more: dict[str, Any]) -> None:
            mortal.step("tell")
            if deaf.is_set():
                raise ConnectionError("the database went away")
            told.append((session_id, state, more))

        rows = Rows(begin, self._host_id, new_id)
        pool = Pool(
            registry,
            rows,
            driver,
            PoolLimits(**{**known, **limits}),
            authority=self._authority,
            told=tell,
            enter=self._enter,
            memory=memory,
            way_out=way_out,
        )
        self._stack.push_async_callback(pool.close)
        stock = Stock(rows, registry, driver, pool, StockLimits(at_once_max=2, resume_seconds=20))
        builder = Builder(rows, registry, driver, pool, boot_seconds=20)
        return Yard(
            town=self._town,
            host=self.host,
            driver=driver,
            pool=pool,
            registry=registry,
            rows=rows,
            stock=stock,
            builder=builder,
            keeper=Keeper(
                rows,
                driver,
                pool,
                stock=stock,
                builder=builder,
                demands=Demands(rows, demand or DEMAND, at_once=1),
                limits=KeeperLimits(rebuild_seconds=1800, disk_reserve_mib=1),
            ),
            order=Order(project_id=DEMO, size="small", spec=SPEC),
            told=told,
            deaf=deaf,
        )

    async def _enter(self, connect: Any, **known: Any) -> Channel:
        """`open_machine`, into a guest whose sockets lie elsewhere than in our image."""
        machine = self.host.machines.get(known["machine_id"])
        if machine is not None and isinstance(machine.guest, SilentGuest | LyingGuest):
            # Only who never answers may be given up early: the others have all the time there is.
            known["deadline_seconds"] *= PATIENCE_WITH_THE_SILENT
        guest = self._guests.get(known["machine_id"])
        inside = {"inside": guest.inside} if guest is not None else {}
        return await open_machine(connect, **known, **inside)


@pytest.fixture
async def yards(town, tmp_path) -> AsyncIterator[Yards]:
    async with AsyncExitStack() as stack:
        yield Yards(town, stack, await Authority.load(tmp_path / "ca"))


@pytest.fixture
async def yard_elsewhere(town, tmp_path) -> AsyncIterator[Callable[[], Awaitable[Yard]]]:
    """Makes the yards of further hosts, each a host of its own that has long been heard."""
    async with AsyncExitStack() as stack:

        async def make() -> Yard:
            yards = Yards(town, stack, await Authority.load(tmp_path / "ca"), new_id())
            yard = yards.make()
            await yard.report()
            async with town.database.begin() as tx:
                await tx.execute(_LONG_HEARD, {"id": yard.registry.host_id})
            return yard

        yield make


@pytest.fixture
def yard(yards) -> Yard:
    return yards.make()
