"""The machines of one host: made, opened for a turn, rested, resumed, removed, reconciled.

Only the process that holds the host's directory runs one of these. A session's machine is opened
by the holder of the session's lease; whoever wants to rest or remove a machine takes its lock, so
that a turn and a rest never meet. A machine that worked for one session is never given to another.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from vmpool import decide
from vmpool.channel import Channel, open_machine
from vmpool.decide import Standing
from vmpool.driver import Driver, Found, MachineSpec
from vmpool.errors import (
    HostFull,
    MachineBusy,
    MachineError,
    MachineLost,
    RestRefused,
    StaleToken,
)
from vmpool.machine import Machine, MachineState
from vmpool.registry import Registry
from vmpool.ssh import Authority

log = structlog.get_logger(__name__)

Told = Callable[[UUID, str, dict[str, Any]], Awaitable[None]]
"""Tells a session what happened to its machine: (session id, state, what else is known)."""
Step = Callable[[str], Awaitable[None]]
"""Says which step of making a machine ready begins."""
Enter = Callable[..., Awaitable[Channel]]
"""`vmpool.channel.open_machine`, or one like it for guests that are not our image."""


@dataclass(frozen=True, kw_only=True)
class PoolLimits:
    """What bounds the machines of a host."""

    running_max: int
    boot_seconds: float
    """Start of the hypervisor to the guest's answer."""
    resume_seconds: float
    idle_seconds: float
    retention_days: float


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A machine with an open channel, held for one turn."""

    machine_id: UUID
    channel: Channel
    fresh: bool
    """Just created: it holds nothing yet."""
    lost: str | None = None
    """Why the session's earlier machine could not be used, if there was one."""


class NoRoom(MachineBusy):
    """As many machines run as may, and every one is in use."""


class Pool:
    """Opens, rests and removes the machines of this host."""

    def __init__(
        self,
        registry: Registry,
        driver: Driver,
        authority: Authority,
        limits: PoolLimits,
        told: Told,
        *,
        enter: Enter = open_machine,
    ) -> None:
        """`told` reaches the session that a machine works for; `enter` makes a channel."""
        self._registry = registry
        self._driver = driver
        self._authority = authority
        self._limits = limits
        self._told = told
        self._enter = enter
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        """By session; one that nobody holds is forgotten."""
        self._making_room = asyncio.Lock()
        self._channels: dict[UUID, Channel] = {}
        self._in_use: set[UUID] = set()
        self._opening: set[asyncio.Task[Opened]] = set()
        self._watching: dict[UUID, asyncio.Task[None]] = {}
        self._kept_awake: set[UUID] = set()
        """Machines that the full disk keeps from resting, as their sessions were told."""

    # -- for a turn -------------------------------------------------------------------------

    @asynccontextmanager
    async def open(
        self, session_id: UUID, spec: MachineSpec, *, token: int, only: UUID | None, step: Step
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
            self._open(session_id, spec, token=token, only=only, step=step)
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

    async def _open(
        self, session_id: UUID, spec: MachineSpec, *, token: int, only: UUID | None, step: Step
    ) -> Opened:
        machine = await self._registry.of_session(session_id)
        lost: str | None = None
        if only is not None and (machine is None or machine.id != only):
            gone = await self._registry.get(only)
            raise MachineLost((gone and gone.note) or "the machine it ran in is gone")
        if machine is not None:
            # Before the guest sees it: whoever comes after us must show at least this one.
            await self._registry.used(machine.id, token)
            try:
                channel = await self._wake(machine, token, step)
                return Opened(machine_id=machine.id, channel=channel, fresh=False)
            except (MachineLost, RestRefused) as error:
                lost = str(error)
                await self.lose(machine.id, lost)
                if only is not None:
                    raise MachineLost(lost) from error
        machine = await self._create(session_id, spec, token, step)
        machine = await self._registry.move(machine.id, MachineState.STARTING)
        channel = await self._start(machine, token, step, resumed=False)
        return Opened(machine_id=machine.id, channel=channel, fresh=True, lost=lost)

    async def _wake(self, machine: Machine, token: int, step: Step) -> Channel:
        if machine.state is MachineState.RESTING:
            async with self._room(machine.id):
                await step("resuming")
                machine = await self._registry.move(machine.id, MachineState.STARTING)
            return await self._start(machine, token, step, resumed=True)
        sight = await self._driver.look(str(machine.id))
        if sight.found is not Found.RUNNING:
            raise MachineLost(sight.broken or "its process ended without a rest")
        channel = self._channels.get(machine.id)
        if channel is not None and not channel.lost.is_set():
            try:
                await channel.raise_token(token)
                return channel
            except (MachineError, ConnectionError, OSError):
                log.info("channel_replaced", machine=str(machine.id))
        return await self._connect(machine, token, self._limits.resume_seconds)

    async def _create(self, session_id: UUID, spec: MachineSpec, token: int, step: Step) -> Machine:
        template_id = await self._registry.template(spec)
        async with self._room(None):
            await step("creating")
            machine = await self._registry.add(session_id, template_id)
            await self._registry.used(machine.id, token)
        try:
            await self._driver.create(str(machine.id), spec)
        except BaseException as error:
            await asyncio.shield(self.remove(machine.id, f"it could not be created: {error}"))
            raise
        return machine

    async def _start(self, machine: Machine, token: int, step: Step, *, resumed: bool) -> Channel:
        began = monotonic()
        try:
            if resumed:
                await self._driver.resume(str(machine.id))
            else:
                await step("booting")
                await self._driver.boot(str(machine.id))
            limit = self._limits.resume_seconds if resumed else self._limits.boot_seconds
            channel = await self._connect(machine, token, limit)
        except BaseException as error:
            # Fail closed: a guest that was not thawed properly must not run on.
            await asyncio.shield(self.lose(machine.id, f"it did not come up: {error}"))
            raise
        seconds = round(monotonic() - began, 3)
        await self._registry.move(
            machine.id,
            MachineState.RUNNING,
            facts={"resume_seconds" if resumed else "boot_seconds": seconds},
        )
        self.watch(machine)
        return channel

    async def _connect(self, machine: Machine, token: int, seconds: float) -> Channel:
        await self._disconnect(machine.id)
        machine_id = str(machine.id)
        channel = await self._enter(
            lambda: self._driver.open_channel(machine_id),
            machine_id=machine_id,
            token=token,
            generation=machine.generation,
            authority=self._authority,
            deadline_seconds=seconds,
        )
        self._channels[machine.id] = channel
        return channel

    async def _disconnect(self, machine_id: UUID) -> None:
        channel = self._channels.pop(machine_id, None)
        if channel is not None:
            with suppress(Exception):
                await channel.close()

    @asynccontextmanager
    async def _room(self, coming: UUID | None) -> AsyncIterator[None]:
        """Room for one more, which must be taken by a row before this ends. :raises NoRoom:."""
        async with self._making_room:
            standing = [one for one in await self._standing() if one.id != coming]
            room = decide.room(standing, self._limits.running_max)
            if not room.free and not await self._one_rests(room.evict):
                most = self._limits.running_max
                raise NoRoom(f"{most} of {most} machines of this host are in use")
            yield

    async def _one_rests(self, candidates: Sequence[UUID]) -> bool:
        for machine_id in candidates:
            if await self.rest(machine_id):
                return True
        return False

    async def _standing(self) -> Sequence[Standing]:
        return [
            Standing(
                id=machine.id,
                state=machine.state,
                used_at=machine.used_at,
                in_use=machine.id in self._in_use,
            )
            for machine in await self._registry.mine()
        ]

    def is_held(self, machine: Machine) -> bool:
        """Whether a turn, a rest or a removal has the machine now."""
        return self._lock(machine.session_id or machine.id).locked()

    def _lock(self, session_id: UUID) -> asyncio.Lock:
        lock = self._locks.get(session_id)
        if lock is None:
            lock = self._locks[session_id] = asyncio.Lock()
        return lock

    # -- rest and removal -------------------------------------------------------------------

    async def rest(self, machine_id: UUID) -> bool:
        """Hibernate a machine that no turn uses; False when it is in use or can't rest now."""
        machine = await self._registry.get(machine_id)
        if machine is None or machine.state is not MachineState.RUNNING:
            return False
        lock = self._lock(machine.session_id or machine_id)
        if lock.locked():
            return False
        async with lock:
            machine = await self._registry.get(machine_id)
            if machine is None or machine.state is not MachineState.RUNNING:
                return False
            return await self._rest(machine)

    async def _rest(self, machine: Machine) -> bool:
        began = monotonic()
        self._unwatch(machine.id)
        await self._registry.move(machine.id, MachineState.HIBERNATING)
        try:
            channel = self._channels.get(machine.id)
            if channel is None or channel.lost.is_set():
                token = int(machine.facts.get("token", 0))
                channel = await self._connect(machine, token, self._limits.resume_seconds)
            await channel.freeze()
            await self._disconnect(machine.id)
            await self._driver.hibernate(str(machine.id))
        except HostFull as error:
            await self._registry.move(machine.id, MachineState.RUNNING, note=str(error))
            self.watch(machine)
            log.error("rest_refused_host_full", machine=str(machine.id), error=str(error))
            if machine.id not in self._kept_awake:
                self._kept_awake.add(machine.id)
                await self._say(machine, "running", why=f"it could not hibernate: {error}")
            return False
        except (MachineError, ConnectionError, OSError, TimeoutError) as error:
            sight = await self._driver.look(str(machine.id))
            if sight.found is Found.RUNNING:
                await self._registry.move(machine.id, MachineState.RUNNING)
                self.watch(machine)
                log.warning("rest_failed", machine=str(machine.id), error=str(error))
                return False
            await self.lose(machine.id, f"it ended while going to rest: {error}")
            return False
        seconds = round(monotonic() - began, 3)
        await self._registry.move(
            machine.id, MachineState.RESTING, facts={"hibernate_seconds": seconds}
        )
        self._kept_awake.discard(machine.id)
        await self._say(machine, "resting", seconds=seconds)
        return True

    async def rest_idle(self) -> int:
        """Hibernate what nobody used for the idle time; how many rest now."""
        now = datetime.now(UTC)
        idle = decide.idle(await self._standing(), now, self._limits.idle_seconds)
        return sum([await self.rest(machine_id) for machine_id in idle])

    async def rest_all(self) -> None:
        """Hibernate everything that runs: the process ends and nothing shall go on."""
        if self._opening:
            await asyncio.wait(set(self._opening), timeout=self._limits.boot_seconds)
        running = await self._registry.mine(MachineState.RUNNING)
        for machine in running:
            await self.rest(machine.id)

    async def remove_expired(self) -> int:
        """Delete resting machines past their retention; their checkpoints stay."""
        now = datetime.now(UTC)
        old = decide.expired(await self._standing(), now, self._limits.retention_days)
        for machine_id in old:
            await self.remove(machine_id, "it rested longer than machines are kept")
        return len(old)

    async def destroy(self, machine_id: UUID, why: str) -> bool:
        """Remove a machine that no turn uses; False when one does."""
        machine = await self._registry.get(machine_id)
        if machine is None or machine.state is MachineState.GONE:
            return True
        lock = self._lock(machine.session_id or machine_id)
        if lock.locked():
            return False
        async with lock:
            await self.remove(machine_id, why)
            await self._say(machine, "gone", why=why)
        return True

    async def obey(self) -> None:
        """Do what people asked of this host's machines; what is in use is asked again later."""
        for machine in await self._registry.requested():
            if machine.state in {MachineState.RUNNING, MachineState.RESTING}:
                if self.is_held(machine):
                    continue
                if machine.request == "destroy":
                    await self.destroy(machine.id, "a person asked for it")
                else:
                    await self.rest(machine.id)
            await self._registry.answered(machine.id)

    async def lose(self, machine_id: UUID, why: str) -> None:
        """Say that a machine's memory is gone, tell its session, remove what is left of it."""
        machine = await self._registry.get(machine_id)
        if machine is not None and machine.state not in {
            MachineState.LOST,
            MachineState.REMOVING,
            MachineState.GONE,
        }:
            await self._registry.move(machine_id, MachineState.LOST, note=why)
            await self._say(machine, "lost", why=why)
        await self.remove(machine_id, why)

    async def remove(self, machine_id: UUID, why: str) -> None:
        """Remove process and files, whatever state they are in; again is no harm."""
        self._unwatch(machine_id)
        await self._disconnect(machine_id)
        machine = await self._registry.get(machine_id)
        if machine is not None and machine.state not in {
            MachineState.REMOVING,
            MachineState.GONE,
        }:
            await self._registry.move(machine_id, MachineState.REMOVING, note=why)
        await self._driver.destroy(str(machine_id))
        if machine is not None and machine.state is not MachineState.GONE:
            await self._registry.move(machine_id, MachineState.GONE)

    # -- watching ---------------------------------------------------------------------------

    def watch(self, machine: Machine) -> None:
        """Find out when a running machine's process ends."""
        self._unwatch(machine.id)
        self._watching[machine.id] = asyncio.create_task(self._wait_ended(machine.id))

    def _unwatch(self, machine_id: UUID) -> None:
        task = self._watching.pop(machine_id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _wait_ended(self, machine_id: UUID) -> None:
        why = await self._driver.wait_ended(str(machine_id))
        log.warning("machine_ended", machine=str(machine_id), why=why)
        await self.lose(machine_id, why)

    async def _say(self, machine: Machine, state: str, **known: Any) -> None:
        if machine.session_id is None:
            return
        try:
            await self._told(machine.session_id, state, known)
        except Exception:
            log.exception("session_not_told", machine=str(machine.id), state=state)

    async def close(self) -> None:
        """Let go of every machine; running ones run on."""
        for machine_id in list(self._watching):
            self._unwatch(machine_id)
        for machine_id in list(self._channels):
            await self._disconnect(machine_id)
        await self._driver.close()


__all__ = ["NoRoom", "Opened", "Pool", "PoolLimits", "StaleToken"]
