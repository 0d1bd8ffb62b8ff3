"""Making a session's machine ready: its own, one that waits, or a booted one.

    a session's turn ──▶ its own machine ─┬─ none ──▶ one that waits: hot, cold ─┬─ none ──▶ boot
                                          └─▶ as it runs, or resumed             └─▶ claimed

Whoever opens one holds the session's lease and its lock; see `vmpool.pool`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol
from uuid import UUID

import structlog

from vmpool import decide
from vmpool.care import Care
from vmpool.channel import Channel
from vmpool.decide import Remedy
from vmpool.driver import Driver, Found
from vmpool.errors import (
    HostFull,
    HostUnfit,
    MachineError,
    MachineLost,
    NoRoom,
    RestRefused,
    StaleToken,
)
from vmpool.machine import Machine, MachineState, Tier
from vmpool.noting import Notes
from vmpool.registry import IllegalMove, Order, Registry
from vmpool.warm.rows import Asked, Rows

log = structlog.get_logger(__name__)

HANDED_OUT_MAX = 1000
"""Hand-outs that nobody asked for yet; where no pools are kept, nobody does."""
UNPAUSE_SECONDS_MAX = 10.0
"""Milliseconds are usual; another machine waits, or is booted in less than a hypervisor that hangs
may take."""

Step = Callable[[str], Awaitable[None]]
"""Says which step of making a machine ready begins."""


class MakeRoom(Protocol):
    """Room for one more machine, or for this one, of so many MiB, while a row takes it."""

    def __call__(
        self, coming: UUID | None, memory_mib: int, /, *, yields: bool
    ) -> AbstractAsyncContextManager[None]:
        """:param yields: it must leave some for people. :raises NoRoom:"""
        ...


@dataclass(frozen=True, kw_only=True)
class OpeningLimits:
    """How long a guest may take to answer."""

    boot_seconds: float
    """From the start of the hypervisor."""
    resume_seconds: float


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A machine with an open channel, held for one turn."""

    machine_id: UUID
    channel: Channel
    tier: Tier | None = None
    """Where it came from, if the session had none before."""
    template_id: UUID | None = None
    """What it was cloned from; None: it was booted and holds nothing but the image."""
    lost: str | None = None
    """Why the session's earlier machine could not be used, if there was one."""

    @property
    def fresh(self) -> bool:
        """Whether the session had no machine before that could be used."""
        return self.tier is not None


class Opener:
    """Opens the machines of one host's sessions."""

    def __init__(
        self,
        registry: Registry,
        rows: Rows,
        driver: Driver,
        care: Care,
        *,
        limits: OpeningLimits,
        make_room: MakeRoom,
    ) -> None:
        self._registry = registry
        self._rows = rows
        self._driver = driver
        self._care = care
        self._limits = limits
        self._make_room = make_room
        self.claimed = asyncio.Event()
        """Set whenever a machine that waited was taken, or none was there."""
        self._notes = Notes()
        self._handed_out: deque[Asked] = deque(maxlen=HANDED_OUT_MAX)

    def take_handed_out(self) -> Sequence[Asked]:
        """What was handed out since the last call: it is known here before it is written down."""
        taken = list(self._handed_out)
        self._handed_out.clear()
        return taken

    async def open(
        self, session_id: UUID, order: Order, *, token: int, only: UUID | None, step: Step
    ) -> Opened:
        """Make it ready. See `vmpool.pool.Pool.open` for what it takes and raises."""
        machine = await self._registry.of_session(session_id)
        lost: str | None = None
        if only is not None and (machine is None or machine.id != only):
            gone = await self._registry.get(only)
            raise MachineLost((gone and gone.note) or "nobody wrote down why")
        other = machine is not None and order.insist and machine.size != order.size
        own = machine if only is not None or not other else None
        if machine is not None and own is None:
            # Without a signature there is no way into the next one: this one stays until then.
            await self._care.prepare(session_id)
            why = f"a {order.size} one was asked for, and it was {machine.size}"
            await self._care.remove(machine.id, why)
            lost = None if decide.is_new(machine) else why
        elif machine is not None:
            # Without a signature there is no way in: find that out while nothing is touched.
            await self._care.prepare(machine.id)
            # Before the guest sees it: whoever comes after us must show at least this one.
            await self._registry.used(machine.id, token, yields=order.yields)
            # What began in it is not left alone for somebody else's sake.
            yields = order.yields and only is None
            try:
                channel = await self.reach(machine, token, step, yields=yields, tell=False)
                return Opened(
                    machine_id=machine.id, channel=channel, template_id=machine.template_id
                )
            except (MachineLost, RestRefused) as error:
                why = str(error)
                # Once: the turn tells it, with what came back from the checkpoint.
                had = await self._care.lose_what_was(machine, why, telling=False)
                lost = why if had else None
                if only is not None:
                    raise MachineLost(why) from error
        return await self._new(session_id, order, token, step, lost)

    async def _new(
        self, session_id: UUID, order: Order, token: int, step: Step, lost: str | None
    ) -> Opened:
        began, asked = monotonic(), self._rows.asked(order)
        try:
            claimed = await self._claim(session_id, order, token, step)
            if claimed is not None:
                machine, tier, channel = claimed
            else:
                tier = Tier.BOOT
                machine, channel = await self._boot(session_id, order, token, step)
            self._handed_out.append(asked)
        finally:
            # Not before: whoever fills the pools looks at the rows at once, and has to wait anyway.
            self.claimed.set()
        seconds = round(monotonic() - began, 4)
        self._notes.later(partial(self._rows.handed_out, asked, machine.id, tier, seconds))
        return Opened(
            machine_id=machine.id,
            channel=channel,
            tier=tier,
            template_id=machine.template_id,
            lost=lost,
        )

    async def _claim(
        self, session_id: UUID, order: Order, token: int, step: Step
    ) -> tuple[Machine, Tier, Channel] | None:
        """Take a machine that waits; one that does not come up is thrown away, and the next taken.

        :raises NoRoom: or nobody signs; a hot one waits again, untouched; a cold one is the
            session's from now on, and rests
        """
        while (claim := await self._rows.claim(order, session_id, token)) is not None:
            machine, tier = claim
            wake = self._unpause if tier is Tier.HOT else partial(self.reach, step=step)
            try:
                # A hot one has its logins already, and nothing is signed for it.
                await self._care.prepare(machine.id)
                with self._care.unused(machine.id):
                    return machine, tier, await wake(machine, token, yields=order.yields)
            except (MachineLost, RestRefused) as error:
                log.warning("claimed_machine_lost", machine=str(machine.id), error=str(error))
                await self._care.remove(machine.id, f"it did not come up: {error}")
            except NoRoom as error:
                if tier is Tier.HOT:
                    await self._rows.give_back(machine.id, session_id, str(error))
                raise
        return None

    async def reach(
        self,
        machine: Machine,
        token: int,
        step: Step,
        *,
        yields: bool = False,
        tell: bool = True,
    ) -> Channel:
        """A session's machine as it runs, or woken.

        :param yields: only if some machines are left for people
        :param tell: its session hears of its end from here; False: from the caller
        :raises StaleToken: a newer lease was there
        :raises MachineLost, RestRefused: it is of no use any more
        :raises NoRoom: try again later
        """
        try:
            return await self._reach(machine, token, step, yields=yields, tell=tell)
        except StaleToken as error:
            row = await self._registry.get(machine.id)
            if row is not None and int(row.facts.get("token", 0)) > token:
                raise
            # A token is written down before a guest sees it: this one says what never was.
            raise MachineLost("its guest says that a newer lease was there; none was") from error

    async def _reach(
        self, machine: Machine, token: int, step: Step, *, yields: bool, tell: bool
    ) -> Channel:
        sight = await self._driver.look(str(machine.id))
        if decide.remedy(machine.state, sight.found, sight.broken) is Remedy.RESTED:
            # Whoever let it rest could not write it down.
            machine = await self._care.settle_rest(machine.id)
        if machine.state is MachineState.RESTING:
            async with self._make_room(machine.id, machine.memory_mib, yields=yields):
                await step("resuming")
                machine = await self._registry.move(machine.id, MachineState.STARTING)
            return await self._start(machine, token, step, resumed=True, tell=tell)
        if sight.found is not Found.RUNNING:
            raise MachineLost(sight.broken or "its process ended without a rest")
        if machine.state is MachineState.PAUSED:
            return await self._unpause(machine, token, yields=yields)
        if yields:
            # It takes no room, and is busy again: that must leave some as well.
            async with self._make_room(machine.id, machine.memory_mib, yields=True):
                pass
        return await self._go_on(machine, token)

    async def _unpause(self, machine: Machine, token: int, *, yields: bool) -> Channel:
        """Let it go on, counted from then on with all of its guest's memory. :raises NoRoom:."""
        async with self._make_room(machine.id, machine.memory_mib, yields=yields):
            # In either order: whoever adopts a machine of a session lets it go on.
            going_on = asyncio.ensure_future(self._let_go_on(machine, token))
            moving = asyncio.ensure_future(self._registry.move(machine.id, MachineState.RUNNING))
            # Room is taken by the row: a guest that is slow to answer keeps nobody else waiting.
            await asyncio.wait([moving])
        await asyncio.wait([going_on])
        stuck, ended = going_on.exception(), moving.exception()
        if isinstance(stuck, MachineError):
            # Fail closed, as when it does not come up.
            raise MachineLost(str(stuck)) from stuck
        if isinstance(ended, IllegalMove):
            raise MachineLost("its process ended while it was handed out") from ended
        if (error := stuck or ended) is not None:
            raise error
        self._care.watch(machine)
        return going_on.result()

    async def _let_go_on(self, machine: Machine, token: int) -> Channel:
        try:
            async with asyncio.timeout(UNPAUSE_SECONDS_MAX):
                await self._driver.unpause(str(machine.id))
        except TimeoutError as error:
            why = f"its hypervisor did not let it go on within {UNPAUSE_SECONDS_MAX:g} s"
            raise MachineLost(why) from error
        return await self._go_on(machine, token)

    async def _go_on(self, machine: Machine, token: int) -> Channel:
        channel = self._care.channel(machine.id)
        if channel is not None:
            try:
                await channel.raise_token(token)
                return channel
            except StaleToken:
                # Nothing is wrong with the channel, and others may be using it.
                raise
            except (MachineError, ConnectionError, OSError) as error:
                log.info("channel_replaced", machine=str(machine.id), why=str(error))
        return await self._care.connect(machine, token, self._limits.resume_seconds)

    async def _boot(
        self, session_id: UUID, order: Order, token: int, step: Step
    ) -> tuple[Machine, Channel]:
        """Boot a machine; one that does not come up is thrown away, and another booted, once."""
        # While nothing is made; what is signed for the session now is only to find out.
        await self._care.prepare(session_id)
        try:
            return await self._boot_one(session_id, order, token, step)
        except MachineLost as error:
            log.warning("boot_tried_again", session=str(session_id), error=str(error))
        return await self._boot_one(session_id, order, token, step)

    async def _boot_one(
        self, session_id: UUID, order: Order, token: int, step: Step
    ) -> tuple[Machine, Channel]:
        machine = await self._create(session_id, order, token, step)
        machine = await self._registry.move(machine.id, MachineState.STARTING)
        return machine, await self._start(machine, token, step, resumed=False)

    async def _create(self, session_id: UUID, order: Order, token: int, step: Step) -> Machine:
        async with self._make_room(None, order.spec.memory_mib, yields=order.yields):
            await step("creating")
            machine = await self._registry.add(order, session_id=session_id)
            await self._registry.used(machine.id, token, yields=order.yields)
        try:
            await self._driver.create(str(machine.id), order.spec)
        except BaseException as error:
            await asyncio.shield(self._care.remove(machine.id, f"it could not be created: {error}"))
            raise
        return machine

    async def _start(
        self, machine: Machine, token: int, step: Step, *, resumed: bool, tell: bool = False
    ) -> Channel:
        """Bring it up. :param tell: its session hears of it when it does not wake

        That one does not boot is heard from the caller alone: no session has had anything in it.
        """
        began = monotonic()
        try:
            if resumed:
                await self._resume(str(machine.id))
            else:
                await step("booting")
                await self._driver.boot(str(machine.id))
            limit = self._limits.resume_seconds if resumed else self._limits.boot_seconds
            channel = await self._care.connect(machine, token, limit)
        except asyncio.CancelledError:
            # This process ends: the next one finds the machine on its way, as after a crash.
            raise
        except BaseException as error:
            if resumed and isinstance(error, HostFull | HostUnfit):
                # Nothing was started: the rest is as it was, and is worth a host that is mended.
                await asyncio.shield(self._registry.move(machine.id, MachineState.RESTING))
            else:
                # Fail closed: a guest that was not thawed properly must not run on.
                why = f"it did not come up: {error}"
                if resumed:
                    await asyncio.shield(self._care.lose(machine.id, why, telling=tell))
                else:
                    await asyncio.shield(self._care.remove(machine.id, why))
            raise
        seconds = round(monotonic() - began, 3)
        await self._registry.move(
            machine.id,
            MachineState.RUNNING,
            facts={"resume_seconds" if resumed else "boot_seconds": seconds},
        )
        self._care.watch(machine)
        return channel

    async def _resume(self, name: str) -> None:
        """Resume it; once more when that fails and its rest is as it was.

        A process that is killed while it loads has used nothing up.
        """
        began = monotonic()
        try:
            await self._driver.resume(name)
        except (HostFull, HostUnfit, RestRefused):
            raise
        except MachineError as error:
            sight = await self._driver.look(name)
            too_late = monotonic() - began > self._limits.resume_seconds
            if sight.found is not Found.RESTING or too_late:
                raise
            log.warning("resume_tried_again", machine=name, error=str(error))
            await self._driver.resume(name)

    async def close(self) -> None:
        """Have written down what still is to be."""
        await self._notes.close()
