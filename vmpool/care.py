"""What is done with one machine beside turns: reached, watched, rested, lost, removed.

One thing at a time for each machine, whoever asks: the end of a process is noticed by itself and
may meet a rest or a removal. Whoever rests or removes a machine sees to it that no turn has it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import structlog

from vmpool.channel import Channel, open_machine
from vmpool.decide import is_new
from vmpool.driver import Driver, Found
from vmpool.errors import HostFull, MachineError, MachineHung, MachineLost, StaleToken
from vmpool.machine import Machine, MachineState
from vmpool.network.way_out import WayOverChannel
from vmpool.registry import Registry
from vmpool.ssh import Authority
from vmpool.storable import sentence
from vmpool.warm.breaker import Breaker

log = structlog.get_logger(__name__)

Told = Callable[[UUID, str, dict[str, Any]], Awaitable[None]]
"""Tells a session what happened to its machine: (session id, state, what else is known)."""
Enter = Callable[..., Awaitable[Channel]]
"""`vmpool.channel.open_machine`, or one like it for guests that are not our image."""

GO_ON_SECONDS_MAX = 10.0
"""How long a guest may take to answer after a rest that failed; its session may wait for that."""
ASKED_MAX = 3
"""Times that a guest is asked to get ready for a rest; then it rests as it is."""
STANDS_STILL = "jobs_stand_still"
"""The fact that a guest got ready for a rest that was none, and was not reached since."""
UNTOLD = "untold"
"""The fact that a session has to hear of its machine's end: the state it is told."""
_WAYS_TO_REST = {
    MachineState.RESTING: (),
    MachineState.HIBERNATING: (MachineState.RESTING,),
    MachineState.RUNNING: (MachineState.HIBERNATING, MachineState.RESTING),
    # The rest was not used up: nothing of the machine ran since.
    MachineState.STARTING: (MachineState.RESTING,),
    MachineState.PAUSED: (
        MachineState.RUNNING,
        MachineState.HIBERNATING,
        MachineState.RESTING,
    ),
}
"""Legal moves of a row whose machine turns out to rest."""


class Care:
    """Looks after the machines of one host."""

    def __init__(
        self,
        registry: Registry,
        driver: Driver,
        authority: Authority,
        told: Told,
        *,
        reach_seconds: float,
        enter: Enter = open_machine,
        way_out: WayOverChannel | None = None,
    ) -> None:
        """`reach_seconds` bounds how long a running guest may take to answer.

        :param way_out: for machines without a network device; None: they have one
        """
        self._way_out = way_out
        self._registry = registry
        self._driver = driver
        self._authority = authority
        self._told = told
        self._reach_seconds = reach_seconds
        self._enter = enter
        self._alone: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        """By machine; one that nobody holds is forgotten."""
        self._channels: dict[UUID, Channel] = {}
        self._watching: dict[UUID, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        """Watchers whose process has ended: they are let finish."""
        self._kept_awake: set[UUID] = set()
        """Machines that the full disk keeps from resting, as their sessions were told."""
        self._asked: Counter[UUID] = Counter()
        """How often in a row a guest was asked to get ready for a rest, and did not."""
        self._still: dict[UUID, Breaker] = {}
        """Machines whose jobs stand still, and when they are tried to be reached again."""
        self.undying: set[UUID] = set()
        """Machines that are being removed, whose processes did not end: they hold memory still."""
        self._unused: set[UUID] = set()
        """Machines being handed out: their sessions never had them, so are told nothing."""

    # -- the channel ------------------------------------------------------------------------

    def channel(self, machine_id: UUID) -> Channel | None:
        """The open channel into a machine, if there is one."""
        channel = self._channels.get(machine_id)
        return None if channel is None or channel.lost.is_set() else channel

    async def prepare(self, machine_id: UUID) -> None:
        """Have signed what the next connection needs, before the machine is touched.

        :raises NoSignature: leave it as it is
        """
        if self.channel(machine_id) is None:
            await self._authority.prepare(str(machine_id))

    async def connect(self, machine: Machine, token: int, seconds: float) -> Channel:
        """A new channel in place of an earlier one.

        :raises StaleToken: the guest has seen a higher token
        :raises MachineError: it did not answer as it must within `seconds`
        """
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
        self._still.pop(machine.id, None)
        await self._serve(machine.id, channel)
        return channel

    async def _serve(self, machine_id: UUID, channel: Channel) -> None:
        """Open a way out over the channel; one that can't be opened stays shut."""
        if self._way_out is None:
            return
        try:
            await self._way_out.serve_over(machine_id, channel.listen)
        except Exception:
            log.exception("no_way_out", machine=str(machine_id))

    async def _disconnect(self, machine_id: UUID) -> None:
        channel = self._channels.pop(machine_id, None)
        if channel is not None:
            if self._way_out is not None:
                await self._way_out.detach(machine_id)
            with suppress(Exception):
                await channel.close()

    @contextmanager
    def unused(self, machine_id: UUID) -> Iterator[None]:
        """While it is handed out: that it is lost concerns nobody."""
        self._unused.add(machine_id)
        try:
            yield
        finally:
            self._unused.discard(machine_id)

    # -- rest -------------------------------------------------------------------------------

    async def rest(self, machine_id: UUID, *, needed: bool = False) -> bool:
        """Hibernate a running machine; False when it does not run or can't rest now.

        :param needed: somebody needs its room: if its hypervisor hangs, it is lost
        """
        async with self._lock(machine_id):
            machine = await self._registry.get(machine_id)
            if machine is None or machine.state is not MachineState.RUNNING:
                return False
            began = monotonic()
            self._unwatch(machine_id)
            await self._registry.move(machine_id, MachineState.HIBERNATING)
            try:
                if needed:
                    # Nobody waits for the guest of a hypervisor that hangs: it is asked first.
                    await self._driver.unpause(str(machine_id))
                await self._hibernate(machine)
            except (MachineError, ConnectionError, OSError, TimeoutError) as error:
                if not await self._rests_anyway(machine, error, needed=needed):
                    return False
            seconds = round(monotonic() - began, 3)
            await self._registry.move(
                machine_id, MachineState.RESTING, facts={"hibernate_seconds": seconds}
            )
            self._kept_awake.discard(machine_id)
            self._asked.pop(machine_id, None)
            self._still.pop(machine_id, None)
            await self.say(machine, "resting", seconds=seconds)
            return True

    async def _hibernate(self, machine: Machine) -> None:
        try:
            await self._quieted(machine)
        except (MachineLost, StaleToken) as error:
            self._asked[machine.id] += 1
            if self._asked[machine.id] < ASKED_MAX:
                raise
            # It would keep its place for ever. What it should have let go of ends by itself.
            log.warning("rests_unprepared", machine=str(machine.id), error=str(error))
            await self._disconnect(machine.id)
        await self._driver.hibernate(str(machine.id))

    async def freeze(self, machine: Machine, template_id: str) -> None:
        """Make a template of a machine that nobody works in; it is absent afterwards.

        :raises HostFull, MachineLost: as `Driver.freeze`
        """
        async with self._lock(machine.id):
            self._unwatch(machine.id)
            await self._quieted(machine)
            await self._driver.freeze(str(machine.id), template_id)

    async def _quieted(self, machine: Machine) -> None:
        channel = self.channel(machine.id)
        if channel is None:
            channel = await self._reconnect(machine, self._reach_seconds)
        await channel.freeze()
        await self._disconnect(machine.id)

    async def let_jobs_go_on(self, machine: Machine) -> bool:
        """Connect to a guest that got ready for a rest that was none: its jobs stand still.

        If that fails they go on with whoever connects next; `standing_still` says when to try.
        """
        try:
            await self._reconnect(machine, min(self._reach_seconds, GO_ON_SECONDS_MAX))
        except (MachineError, OSError, TimeoutError) as error:
            failed = self._still.get(machine.id, Breaker()).failed(monotonic(), str(error))
            self._still[machine.id] = failed
            log.warning("jobs_stand_still", machine=str(machine.id), error=str(error))
            return False
        return True

    def standing_still(self) -> list[UUID]:
        """Machines whose jobs stand still, and that may be tried to be reached again now."""
        now = monotonic()
        return [one for one, breaker in self._still.items() if not breaker.is_open(now)]

    async def _reconnect(self, machine: Machine, seconds: float) -> Channel:
        """As whoever had it last. :raises MachineError: as `connect`"""
        return await self.connect(machine, int(machine.facts.get("token", 0)), seconds)

    async def _rests_anyway(self, machine: Machine, error: Exception, *, needed: bool) -> bool:
        """Whether what failed came after its rest was complete.

        Else it runs on as before, or its memory is gone; a full disk is told once.
        """
        sight = await self._driver.look(str(machine.id))
        if sight.found is Found.RESTING:
            log.warning("rest_not_finished", machine=str(machine.id), error=str(error))
            return True
        if sight.found is Found.RUNNING and needed and isinstance(error, MachineHung):
            await self._lose(machine.id, f"its room was needed, and {error}")
        elif sight.found is Found.RUNNING:
            await self._runs_on(machine, error)
        else:
            await self._lose(machine.id, f"it ended while going to rest: {error}")
        return False

    async def _runs_on(self, machine: Machine, error: Exception) -> None:
        # While the row says that it is on its way to rest: after a crash it is connected to again.
        facts = {STANDS_STILL: None if await self.let_jobs_go_on(machine) else True}
        if not isinstance(error, HostFull):
            await self._registry.move(machine.id, MachineState.RUNNING, facts=facts)
            self.watch(machine)
            log.warning("rest_failed", machine=str(machine.id), error=str(error))
            return
        await self._registry.move(machine.id, MachineState.RUNNING, note=str(error), facts=facts)
        self.watch(machine)
        log.error("rest_refused_host_full", machine=str(machine.id), error=str(error))
        if machine.id not in self._kept_awake:
            self._kept_awake.add(machine.id)
            await self.say(machine, "running", why=f"it could not hibernate: {error}")

    async def settle_rest(self, machine_id: UUID) -> Machine:
        """Let the row say what is there, a complete rest, although it was on its way somewhere.

        :raises MachineLost: the machine was never finished, or is being removed
        """
        async with self._lock(machine_id):
            machine = await self._registry.get(machine_id)
            if machine is None or machine.state not in _WAYS_TO_REST:
                raise MachineLost((machine and machine.note) or "it was interrupted while made")
            self._unwatch(machine_id)
            for state in _WAYS_TO_REST[machine.state]:
                machine = await self._registry.move(machine_id, state)
            return machine

    # -- the end ----------------------------------------------------------------------------

    async def lose(self, machine_id: UUID, why: str, *, telling: bool = True) -> None:
        """Say that a machine's memory is gone, tell its session, remove what is left of it.

        :param telling: False: whoever opens it for a turn tells its session, with what was kept
        """
        async with self._lock(machine_id):
            await self._lose(machine_id, why, telling=telling)

    async def lose_what_was(self, machine: Machine, why: str, *, telling: bool = True) -> bool:
        """The same, unless no session ever had it: then it is removed without a word.

        :return: whether there was something to lose
        """
        if is_new(machine):
            await self.remove(machine.id, f"its making was interrupted: {why}")
            return False
        await self.lose(machine.id, why, telling=telling)
        return True

    async def _lose(self, machine_id: UUID, why: str, *, telling: bool = True) -> None:
        machine = await self._registry.get(machine_id)
        if machine is not None and machine.state not in {
            MachineState.LOST,
            MachineState.REMOVING,
            MachineState.GONE,
        }:
            owed = {UNTOLD: "lost" if telling else None}
            await self._registry.move(machine_id, MachineState.LOST, note=why, facts=owed)
        await self._remove(machine_id, why)

    async def remove(self, machine_id: UUID, why: str, *, telling: bool = False) -> bool:
        """Remove process and files, whatever state they are in; again is no harm.

        :param telling: its session hears of it, from whoever gets to the end of it
        :return: whether nothing of it is left; what the host keeps, the next look around removes
        """
        async with self._lock(machine_id):
            return await self._remove(machine_id, why, telling=telling)

    async def _remove(self, machine_id: UUID, why: str, *, telling: bool = False) -> bool:
        self._unwatch(machine_id)
        self._kept_awake.discard(machine_id)
        self._asked.pop(machine_id, None)
        self._still.pop(machine_id, None)
        await self._disconnect(machine_id)
        machine = await self._registry.get(machine_id)
        if machine is None or machine.state is MachineState.GONE:
            return await self._destroyed(machine_id)
        if machine.state is not MachineState.REMOVING:
            owed = {UNTOLD: "gone" if telling else None}
            if machine.state is MachineState.LOST and not await self._tell_what_is_owed(machine):
                owed = {}
            machine = await self._registry.move(
                machine_id, MachineState.REMOVING, note=why, facts=owed
            )
        if not await self._destroyed(machine_id):
            return False
        # Until its session was told the row stays: the next look around tells it.
        if await self._tell_what_is_owed(machine):
            await self._registry.move(machine_id, MachineState.GONE, facts={UNTOLD: None})
        return True

    async def _destroyed(self, machine_id: UUID) -> bool:
        """Whether nothing of it is left on the host: whoever needs another one waits for none."""
        try:
            await self._driver.destroy(str(machine_id))
        except (MachineError, OSError) as error:
            if isinstance(error, TimeoutError):
                self.undying.add(machine_id)
            log.error("machine_not_removed", machine=str(machine_id), error=str(error))
            return False
        self.undying.discard(machine_id)
        return True

    async def _tell_what_is_owed(self, machine: Machine) -> bool:
        """What whoever began this may not have lived to tell; sooner twice than never.

        Returns whether nothing is owed any more.
        """
        state = machine.facts.get(UNTOLD)
        return state is None or await self.say(machine, state, why=machine.note)

    # -- watching ---------------------------------------------------------------------------

    def watch(self, machine: Machine) -> None:
        """Find out when a running machine's process ends."""
        self._unwatch(machine.id)
        self._watching[machine.id] = asyncio.create_task(self._wait_ended(machine.id))

    def watches(self, machine_id: UUID) -> bool:
        """Whether the end of its process would be noticed."""
        return machine_id in self._watching

    def _unwatch(self, machine_id: UUID) -> None:
        task = self._watching.pop(machine_id, None)
        if task is not None:
            task.cancel()

    async def _wait_ended(self, machine_id: UUID) -> None:
        why = sentence(await self._driver.wait_ended(str(machine_id)))
        task = self._watching.pop(machine_id)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        log.warning("machine_ended", machine=str(machine_id), why=why)
        await self.lose(machine_id, why)

    async def say(self, machine: Machine, state: str, **known: Any) -> bool:
        """Tell the machine's session, if that has to know; whether it was told."""
        if machine.session_id is None or machine.id in self._unused:
            return True
        try:
            await self._told(machine.session_id, state, known)
        except Exception:
            log.exception("session_not_told", machine=str(machine.id), state=state)
            return False
        return True

    def _lock(self, machine_id: UUID) -> asyncio.Lock:
        return self._alone.setdefault(machine_id, asyncio.Lock())

    async def close(self) -> None:
        """Let go of every machine; running ones run on."""
        for machine_id in list(self._watching):
            self._unwatch(machine_id)
        for task in self._ending:
            task.cancel()
        for machine_id in list(self._channels):
            await self._disconnect(machine_id)
