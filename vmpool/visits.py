"""Visits: people's own ways into a session's machine, beside its turns.

A visit wakes the machine that the session has and keeps it awake, without a turn and without the
session's lease: it shows the token that the guest saw last, so it never puts a turn out. Turns come
and go meanwhile over the same channel. Only the process that owns the machine calls this.

    ssh    a socket behind which the guest starts one more sshd, with the host's certificate renewed
    port   a TCP connection to a port of the machine's loopback interface
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

from vmpool.care import Care
from vmpool.channel import Channel
from vmpool.errors import MachineError, MachineLost, RestRefused
from vmpool.machine import Machine
from vmpool.opening import Opener, Step
from vmpool.registry import Registry

LOOK_SECONDS = 0.5
"""Between two looks whether a turn that has the machine has brought it up."""


class NoMachine(MachineError):
    """The session has no machine here that could be woken."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A machine that is kept awake for somebody."""

    machine_id: UUID
    channel: Channel


class Visits:
    """Counts who visits which machine of this host."""

    def __init__(
        self,
        registry: Registry,
        opener: Opener,
        care: Care,
        *,
        lock: Callable[[UUID], asyncio.Lock],
        has_turn: Callable[[UUID], bool],
    ) -> None:
        """`lock` is a session's, which a turn keeps; `has_turn` tells of a machine."""
        self._registry = registry
        self._opener = opener
        self._care = care
        self._lock = lock
        self._has_turn = has_turn
        self._count: Counter[UUID] = Counter()

    def any(self, machine_id: UUID) -> bool:
        """Whether somebody visits the machine, so that it must not rest."""
        return self._count[machine_id] > 0

    @asynccontextmanager
    async def enter(self, session_id: UUID, step: Step) -> AsyncIterator[Visit]:
        """Wake the session's machine and keep it awake while inside.

        :raises NoMachine: it has none here
        :raises NoRoom: try again later
        :raises MachineLost: it did not come up; the session was told
        """
        visit = await self._reach(session_id, step)
        try:
            yield visit
        finally:
            self._count[visit.machine_id] -= 1
            if not self._count[visit.machine_id]:
                del self._count[visit.machine_id]
            # Idle time counts from here. That it can't be written down ends no visit badly.
            with suppress(Exception):
                await self._registry.used(visit.machine_id, 0)

    async def _reach(self, session_id: UUID, step: Step) -> Visit:
        lock = self._lock(session_id)
        while True:
            machine = await self._registry.of_session(session_id)
            if machine is None:
                raise NoMachine("The session has no machine now; its next prompt brings one.")
            if self._has_turn(machine.id) or self.any(machine.id):
                channel = self._care.channel(machine.id)
                if channel is not None:
                    return self._begin(machine.id, channel)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await lock.acquire()
            except TimeoutError:
                continue
            try:
                return await self._wake(session_id, step)
            finally:
                lock.release()

    def _begin(self, machine_id: UUID, channel: Channel) -> Visit:
        self._count[machine_id] += 1
        return Visit(machine_id=machine_id, channel=channel)

    async def _wake(self, session_id: UUID, step: Step) -> Visit:
        """With the session's lock held. What begins to wake is brought up all the same."""
        machine = await self._registry.of_session(session_id)
        if machine is None:
            raise NoMachine("The session has no machine now; its next prompt brings one.")
        waking = asyncio.ensure_future(self._woken(machine, step))
        try:
            channel = await asyncio.shield(waking)
        except asyncio.CancelledError:
            with suppress(Exception):
                await waking
            raise
        return self._begin(machine.id, channel)

    async def _woken(self, machine: Machine, step: Step) -> Channel:
        await self._care.prepare(machine.id)
        try:
            return await self._opener.reach(machine, int(machine.facts.get("token", 0)), step)
        except (MachineLost, RestRefused) as error:
            await self._care.lose(machine.id, str(error))
            raise MachineLost(str(error)) from error
