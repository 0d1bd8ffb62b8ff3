"""The machines of one host: made, opened for a turn, rested, resumed, removed, reconciled.

Only the process that holds the host's directory runs one of these. A session's machine is opened
by the holder of the session's lease; whoever wants to rest or remove a machine takes the session's
lock, so that a turn and a rest never meet. A machine that worked for one session is never given to
another. How one is made ready is in `vmpool.opening`, what is done with one beside turns in
`vmpool.care`; the machines that wait are made in `vmpool.warm`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from vmpool import decide
from vmpool.care import STANDS_STILL, Care, Enter, Told
from vmpool.channel import open_machine
from vmpool.decide import Standing
from vmpool.driver import Driver
from vmpool.errors import MachineError, MachineLost, NoRoom
from vmpool.machine import Machine, MachineState
from vmpool.memory import HostMemory, host_memory
from vmpool.network.way_out import WayOverChannel
from vmpool.opening import UNPAUSE_SECONDS_MAX, Opened, Opener, OpeningLimits, Step
from vmpool.registry import Order, Registry
from vmpool.ssh import Authority
from vmpool.visits import Visits
from vmpool.warm.rows import Asked, Rows

log = structlog.get_logger(__name__)

MayRest = Callable[[UUID], Awaitable[bool]]

_PAST = frozenset({MachineState.LOST, MachineState.REMOVING, MachineState.GONE})
CLOSE_SECONDS_MAX = 10.0
"""For machines that are on their way up when this process ends; the next one goes on with them."""


@dataclass(frozen=True, kw_only=True)
class PoolLimits(OpeningLimits):
    """What bounds the machines of a host."""

    running_max: int
    running_for_people: int = 0
    """How many of them automations leave free."""
    memory_mib_max: int = 0
    """For all of them together; 0: what the host has, less a reserve."""
    idle_seconds: float
    retention_days: float


class Pool:
    """Opens, rests and removes the machines of this host."""

    def __init__(
        self,
        registry: Registry,
        rows: Rows,
        driver: Driver,
        limits: PoolLimits,
        *,
        authority: Authority,
        told: Told,
        enter: Enter = open_machine,
        memory: Callable[[], HostMemory] = host_memory,
        may_rest: MayRest | None = None,
        way_out: WayOverChannel | None = None,
    ) -> None:
        """`told` reaches the session that a machine works for; `enter` makes a channel.

        :param way_out: see `Care`
        :param may_rest: whether a session's machine may go to disk now; None: always
        """
        self._may_rest = may_rest
        self._memory = memory
        self._registry = registry
        self._rows = rows
        self._driver = driver
        self._limits = limits
        self.care = Care(
            registry,
            driver,
            authority,
            told,
            reach_seconds=limits.resume_seconds,
            enter=enter,
            way_out=way_out,
        )
        self._opener = Opener(
            registry, rows, driver, self.care, limits=limits, make_room=self._room
        )
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        """By session; one that nobody holds is forgotten."""
        self._making_room = asyncio.Lock()
        self._in_use: set[UUID] = set()
        self._held: set[UUID] = set()
        """Machines without a session that somebody makes something of."""
        self._opening: set[asyncio.Task[Opened]] = set()
        self.worths: Mapping[UUID, float] = {}
        """Of the machines that wait, by template, as whoever keeps the pools found last."""
        self.visits = Visits(
            registry,
            self._opener,
            self.care,
            lock=self._lock,
            has_turn=self._in_use.__contains__,
        )

    @property
    def claimed(self) -> asyncio.Event:
        """Set whenever a machine that waited was taken, or none was there."""
        return self._opener.claimed

    def take_handed_out(self) -> Sequence[Asked]:
        """What was handed out since the last call, written down or not."""
        return self._opener.take_handed_out()

    # -- for a turn -------------------------------------------------------------------------

    @asynccontextmanager
    async def open(
        self, session_id: UUID, order: Order, *, token: int, only: UUID | None, step: Step
    ) -> AsyncIterator[Opened]:
        """Make the session's machine ready and hold it for a turn.

        :param token: the session's lease token; the guest refuses lower ones
        :param only: this machine or none: a turn began in it
        :raises NoRoom: try again later
        :raises MachineLost: `only` is gone
        :raises HostFull, HostUnfit: for the operator
        """
        lock = self._lock(session_id)
        await lock.acquire()
        opening = asyncio.create_task(
            self._opener.open(session_id, order, token=token, only=only, step=step)
        )
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A machine half-way up is brought up all the same: its memory is worth keeping.
            opening.add_done_callback(lambda _: lock.release())
            raise
        except BaseException:
            lock.release()
            raise
        self._in_use.add(opened.machine_id)
        try:
            yield opened
        finally:
            self._in_use.discard(opened.machine_id)
            lock.release()
            with suppress(Exception):
                await self._registry.used(opened.machine_id, token)

    def room_beside(self, memory_mib: int) -> AbstractAsyncContextManager[None]:
        """Room for a machine that works for no session, as for one of an automation's.

        A row must take it before this ends. :raises NoRoom: try again later
        """
        return self._room(None, memory_mib, yields=True)

    @asynccontextmanager
    async def _room(
        self, coming: UUID | None, memory_mib: int, *, yields: bool
    ) -> AsyncIterator[None]:
        """Room for one more, which must be taken by a row before this ends. :raises NoRoom:."""
        leave = self._limits.running_for_people if yields else 0
        async with self._making_room:
            while True:
                up = await self._standing(*decide.TAKES_ROOM, MachineState.REMOVING)
                standing = [one for one in up if one.id != coming]
                room = decide.room(
                    standing,
                    memory_mib,
                    self._limits.running_max,
                    self.memory_mib_max(),
                    leave=leave,
                )
                if room.free:
                    break
                if not await self._one_rests(room.evict):
                    raise NoRoom(room.why)
            yield

    def memory_mib_max(self) -> int:
        """What machines may take of the host's memory together."""
        return self._limits.memory_mib_max or decide.memory_budget(self._memory().total_mib)

    async def _one_rests(self, candidates: Sequence[UUID]) -> bool:
        for machine_id in candidates:
            if await _safely(self._ends_or_rests(machine_id, needed=True), machine_id):
                return True
            machine = await self._registry.get(machine_id)
            if machine is None or not decide.takes_room(machine.state):
                # It ended on its way to rest, or its hypervisor hung and was ended.
                return True
        return False

    async def _ends_or_rests(self, machine_id: UUID, *, needed: bool) -> bool:
        return await self._remove_waiting(machine_id) or await self.rest(machine_id, needed=needed)

    async def _remove_waiting(self, machine_id: UUID, why: str = "its room is needed") -> bool:
        """Remove a machine that waits; False when it is none, or a session has it meanwhile."""
        taken = await self._rows.take_aside(machine_id, MachineState.REMOVING, note=why)
        return taken is not None and await self.care.remove(machine_id, why)

    async def spare(self) -> decide.Spare:
        """What machines that wait may still take of this host."""
        standing = await self._standing()
        return decide.spare(standing, self._limits.running_max, self.memory_mib_max())

    async def _standing(self, *states: MachineState) -> Sequence[Standing]:
        return [
            Standing(
                id=row["id"],
                state=MachineState(row["state"]),
                used_at=row["used_at"],
                in_use=row["id"] in self._in_use
                or row["id"] in self._held
                or self.visits.any(row["id"]),
                lingers=row["id"] in self.care.undying,
                waits=row["waits"],
                yields=row["yields"],
                memory_mib=row["memory_mib"],
                private_mib=row["private_mib"],
                worth=self.worths.get(row["template_id"], 0.0),
            )
            for row in await self._registry.standing(*states)
        ]

    async def quiet(self) -> None:
        """Return when no session waits for its machine."""
        while self._opening:
            await asyncio.wait(set(self._opening), return_when=asyncio.FIRST_COMPLETED)

    @contextmanager
    def hold(self, machine_id: UUID) -> Iterator[None]:
        """Keep everybody else off a machine that works for no session."""
        self._held.add(machine_id)
        try:
            yield
        finally:
            self._held.discard(machine_id)

    def is_held(self, machine: Machine) -> bool:
        """Whether a turn, a visitor, a rest, a removal or whoever makes it has it now."""
        return self._is_worked_on(machine) or self.visits.any(machine.id)

    def _is_worked_on(self, machine: Machine) -> bool:
        """The same without visitors: they keep a machine awake, and not from its end."""
        return machine.id in self._held or self._lock(machine.session_id or machine.id).locked()

    @asynccontextmanager
    async def alone(self, machine: Machine) -> AsyncIterator[bool]:
        """Keep turns off a machine, if nobody has it and it is still as it was read."""
        ends = machine.state in {MachineState.LOST, MachineState.REMOVING}
        if self._is_worked_on(machine) if ends else self.is_held(machine):
            yield False
            return
        async with self._lock(machine.session_id or machine.id):
            now = await self._registry.get(machine.id)
            yield (
                now is not None
                and (now.session_id, now.changed_at) == (machine.session_id, machine.changed_at)
                and machine.id not in self._held
            )

    def _lock(self, session_id: UUID) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())

    # -- rest and removal -------------------------------------------------------------------

    async def rest(self, machine_id: UUID, *, needed: bool = False) -> bool:
        """Hibernate a machine that no turn uses; False when it is in use or can't rest now.

        :param needed: as `Care.rest`
        """
        machine = await self._registry.get(machine_id)
        if machine is None or machine.state is not MachineState.RUNNING or self.is_held(machine):
            return False
        async with self._lock(machine.session_id or machine_id):
            if not await self._is_clean(machine.session_id):
                log.info("rest_put_off", machine=str(machine_id), why="a credential still works")
                return False
            return await self.care.rest(machine_id, needed=needed)

    async def _is_clean(self, session_id: UUID | None) -> bool:
        """Whether nothing in the memory of a session's machine works elsewhere."""
        return session_id is None or self._may_rest is None or await self._may_rest(session_id)

    async def rest_idle(self) -> int:
        """Hibernate what nobody used for the idle time; how many rest now."""
        now = datetime.now(UTC)
        idle = decide.idle(await self._standing(), now, self._limits.idle_seconds)
        return sum([await _safely(self.rest(machine_id), machine_id) for machine_id in idle])

    async def relieve(self) -> bool:
        """Let one machine make way if the host is short of memory or disk; whether one did."""
        free_mib = await asyncio.to_thread(self._driver.free_disk_mib)
        if decide.is_disk_short(free_mib):
            log.warning("disk_short", free_mib=free_mib)
            return await self._one_goes(decide.give_up(await self._standing()))
        memory = self._memory()
        if not decide.is_pressed(memory.total_mib, memory.available_mib):
            return False
        log.warning("memory_short", available_mib=memory.available_mib)
        return await self._one_rests(decide.make_way(await self._standing()))

    async def _one_goes(self, candidates: Sequence[UUID]) -> bool:
        for machine_id in candidates:
            if await _safely(self._gives_up(machine_id), machine_id):
                return True
        return False

    async def _gives_up(self, machine_id: UUID) -> bool:
        why = "the disk of its host is nearly full"
        if await self._remove_waiting(machine_id, why):
            return True
        return await self._remove_resting(machine_id, why, telling=True)

    async def _remove_resting(self, machine_id: UUID, why: str, *, telling: bool = False) -> bool:
        """Remove a session's machine if it still rests and no turn comes for it."""
        machine = await self._registry.get(machine_id)
        if machine is None or self.is_held(machine):
            return False
        async with self._lock(machine.session_id or machine_id):
            machine = await self._registry.get(machine_id)
            if machine is None or machine.state is not MachineState.RESTING:
                return False
            return await self.care.remove(machine_id, why, telling=telling)

    async def let_jobs_go_on(self) -> None:
        """Try to reach the guests again whose jobs stand still since a rest that failed."""
        for machine_id in self.care.standing_still():
            machine = await self._registry.get(machine_id)
            if machine is None or machine.state is not MachineState.RUNNING:
                continue
            # Whoever has it connects, or has connected.
            async with self.alone(machine) as as_read:
                if as_read:
                    await self.care.let_jobs_go_on(machine)

    async def rest_all(self) -> None:
        """Hibernate everything that runs: the process ends and nothing shall go on."""
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=self._limits.boot_seconds)
        for machine in await self._registry.mine(MachineState.RUNNING, MachineState.PAUSED):
            await _safely(self._ends_or_rests(machine.id, needed=False), machine.id)

    async def remove_expired(self) -> int:
        """Delete resting machines past their retention; their checkpoints stay."""
        now = datetime.now(UTC)
        old = decide.expired(await self._standing(), now, self._limits.retention_days)
        why = "it rested longer than machines are kept"
        return sum([await _safely(self._remove_resting(one, why), one) for one in old])

    async def destroy(self, machine_id: UUID, why: str) -> bool:
        """Remove a machine that no turn uses; False when one does."""
        machine = await self._registry.get(machine_id)
        if machine is None or machine.state is MachineState.GONE:
            return True
        if self._is_worked_on(machine):
            return False
        if machine.session_id is None and machine.template_id is not None:
            return await self._remove_waiting(machine_id, why)
        async with self._lock(machine.session_id or machine_id):
            return await self.care.remove(machine_id, why, telling=True)

    async def adopt(self, machine: Machine) -> None:
        """Go on with a machine that an earlier process of ours left up.

        :raises MachineError, TimeoutError: its hypervisor does not answer now
        """
        hot = machine.state is MachineState.PAUSED and machine.session_id is None
        if (hot or machine.state is MachineState.RUNNING) and self.care.watches(machine.id):
            return
        if not hot:
            if not (await self._goes_on(machine) and await self._is_its_own(machine)):
                return
            if machine.state is MachineState.HIBERNATING or machine.facts.get(STANDS_STILL):
                await self.care.let_jobs_go_on(machine)
            if machine.state is not MachineState.RUNNING:
                await self._registry.move(machine.id, MachineState.RUNNING)
        self.care.watch(machine)

    async def _goes_on(self, machine: Machine) -> bool:
        """Whoever handed it out may have ended before it went on; False: it is lost."""
        try:
            async with asyncio.timeout(UNPAUSE_SECONDS_MAX):
                await self._driver.unpause(str(machine.id))
        except MachineLost as error:
            await self.care.lose(machine.id, str(error))
            return False
        return True

    async def _is_its_own(self, machine: Machine) -> bool:
        """Thaw what was resumed and maybe not thawed; False: that failed, and it is lost."""
        resumed = machine.state is MachineState.STARTING and machine.generation > 1
        if not resumed or machine.session_id is None:
            return True
        token = int(machine.facts.get("token", 0))
        await self.care.prepare(machine.id)
        try:
            await self.care.connect(machine, token, self._limits.resume_seconds)
        except (MachineError, OSError, TimeoutError) as error:
            await self.care.lose(machine.id, f"it did not come up: {error}")
            return False
        return True

    async def obey(self) -> None:
        """Do what people asked of this host's machines; what is in use is asked again later."""
        for machine in await self._registry.requested():
            ends = machine.request == "destroy"
            held = self._is_worked_on(machine) if ends else self.is_held(machine)
            if not held and await _safely(self._obeyed(machine), machine.id):
                await self._registry.answered(machine.id)

    async def _obeyed(self, machine: Machine) -> bool:
        """Whether it was done, or can't be; what is on its way is asked when it has got there."""
        if machine.state not in {
            MachineState.RUNNING,
            MachineState.PAUSED,
            MachineState.RESTING,
        }:
            return machine.state in _PAST
        if machine.request == "destroy":
            return await self.destroy(machine.id, "a person asked for it")
        # What is put off is asked again; what a full disk refuses was told.
        return await self.rest(machine.id) or await self._is_clean(machine.session_id)

    async def close(self) -> None:
        """Let go of every machine; running ones run on, and those on their way up get there."""
        if self._opening:
            _, late = await asyncio.wait(set(self._opening), timeout=CLOSE_SECONDS_MAX)
            for opening in late:
                opening.cancel()
            if late:
                await asyncio.wait(late)
        await self._opener.close()
        await self.care.close()
        await self._driver.close()


async def _safely(doing: Awaitable[bool], machine_id: UUID) -> bool:
    """Whether it was done; what goes wrong with one machine keeps no other waiting."""
    try:
        return await doing
    except Exception:
        log.exception("machine_failed", machine=str(machine_id))
        return False
