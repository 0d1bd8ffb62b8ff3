"""The worker: claims sessions, runs their turns in slots, renews their leases, stops cleanly."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import structlog

from bot.metrics import QUEUE_WAIT_SECONDS
from bot.store.database import CONTROL, READY, Listener, may_pass
from bot.words.catalogue import of_error
from bot.work.lease import Lease
from bot.work.queue import Event, LeaseLost
from bot.work.slots import Offer, Slots
from bot.work.turns import Turns
from bot.work.watching import TurnSignals
from bot.work.work_queue import Waits, WorkQueue
from bot.work.workplace import Awaited, HostAwaited, NoCapacity

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

CAPACITY_SECONDS = 1.0
"""After which a session that found no capacity looks again."""
AWAITED_SECONDS = 5.0
"""Between two attempts to get what a turn needs besides a machine."""
HOST_SECONDS = 30.0
"""Between two looks whether a session can go on without its host; a host that comes back waits for
no longer."""
AWAY_SECONDS = 1.0
HAND_BACK_SECONDS_MAX = 10.0
"""For storing what was read and giving the leases back, at a clean stop."""
BROKEN_MAX = 3
"""Times that a turn may break in a row before it is ended."""
RETRY_SECONDS = 0.01
"""After a row that was locked while we claimed."""


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """What bounds a worker."""

    turns_max: int
    for_people: int = 0
    """How many of them automations leave free."""
    poll_seconds: float
    finish_seconds: float
    """How long a clean stop lets running turns finish before they are handed back."""


@dataclass(kw_only=True)
class _Slot:
    lease: Lease
    signals: TurnSignals = field(default_factory=TurnSignals)


class Worker:
    """Runs turns until told to stop."""

    def __init__(
        self, queue: WorkQueue, turns: Turns, listener: Listener, limits: WorkerLimits
    ) -> None:
        """`queue`'s owner is this process."""
        self._queue = queue
        self._turns = turns
        self._listener = listener
        self._limits = limits
        self._room = Slots(turns_max=limits.turns_max, for_people=limits.for_people)
        self._slots: dict[asyncio.Task[None], _Slot] = {}
        self._wake = asyncio.Event()
        self._waiting: dict[UUID, Waits] = {}
        """How sessions wait for capacity, as they were told last."""
        self._hostless: set[UUID] = set()
        """Sessions that only a host which is silent can go on with."""
        self._told: dict[UUID, str] = {}
        """Why they wait, as sessions were told last."""
        self._broken: Counter[UUID] = Counter()
        """How often in a row the turns of a session broke."""

    @property
    def busy(self) -> int:
        """How many turns run."""
        return len(self._slots)

    async def run(self, stop: asyncio.Event, now: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, then let turns finish or hand them back, and return.

        :param now: hand them back at once, when it is set
        """
        async with AsyncExitStack() as stack:
            for off in (
                self._listener.on(READY, lambda _: self._wake.set()),
                self._listener.on(CONTROL, self._control),
            ):
                stack.callback(off)
            self._renewing = asyncio.create_task(self._renew_for_ever())
            stopping = asyncio.create_task(_set_when(stop, self._wake))
            try:
                while not stop.is_set():
                    await self._claim_all(stop)
                    await self._rest()
                await self._stop(now or asyncio.Event())
                with suppress(Exception):
                    await self._queue.leave()
            finally:
                for task in (self._renewing, stopping, *self._slots):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _claim_all(self, stop: asyncio.Event) -> None:
        self._wake.clear()
        while (offer := self._offer()) is not Offer.NOBODY and not stop.is_set():
            try:
                lease = await self._queue.claim(people_only=offer is Offer.PEOPLE)
            except Exception as error:
                if not may_pass(error):
                    raise
                log.warning("claim_waits_for_database")
                await asyncio.sleep(AWAY_SECONDS)
                return
            if lease is None:
                return
            QUEUE_WAIT_SECONDS.observe(lease.waited_seconds)
            short = lease.session_id in self._waiting or lease.session_id in self._hostless
            signals = TurnSignals(was_short=short)
            slot = _Slot(lease=lease, signals=signals)
            task = asyncio.create_task(self._run(slot))
            self._slots[task] = slot
            task.add_done_callback(self._done)

    def _offer(self) -> Offer:
        return self._room.offer(len(self._slots))

    async def _run(self, slot: _Slot) -> None:
        structlog.contextvars.bind_contextvars(session=slot.lease.short)
        try:
            await self._turns.run(slot.lease, slot.signals)
            self._waiting.pop(slot.lease.session_id, None)
            self._hostless.discard(slot.lease.session_id)
            self._told.pop(slot.lease.session_id, None)
            self._broken.pop(slot.lease.session_id, None)
        except HostAwaited:
            await self._wait_for_host(slot.lease)
        except Awaited as error:
            await self._await(slot.lease, of_error(error))
        except NoCapacity as error:
            await self._defer(slot.lease, error)
        except Exception as error:
            if may_pass(error):
                log.warning("turn_left_to_its_lease", error=str(error))
            else:
                log.exception("turn_broke")
                self._broken[slot.lease.session_id] += 1
            with suppress(Exception):
                await asyncio.sleep(AWAY_SECONDS)
                await self._hand_back_or_give_up(slot.lease, error)

    async def _hand_back_or_give_up(self, lease: Lease, error: Exception) -> None:
        """Let somebody try once more; what breaks again and again ends, and says so."""
        if self._broken[lease.session_id] < BROKEN_MAX:
            await self._queue.hand_back(lease)
            return
        await self._turns.give_up(lease, error)
        del self._broken[lease.session_id]

    async def _defer(self, lease: Lease, short: NoCapacity) -> None:
        """Let the session wait for capacity without keeping a slot."""
        why, told = str(short), self._waiting.get(lease.session_id)
        with suppress(LeaseLost):
            waits = await self._queue.defer(
                lease, seconds=CAPACITY_SECONDS, why=why, told=told, template=short.template
            )
            self._waiting[lease.session_id] = waits
            log.info("waits_for_capacity", why=why, place=waits.place)

    async def _wait_for_host(self, lease: Lease) -> None:
        """Let the session wait until its host is back, or what it has can be read here."""
        self._hostless.add(lease.session_id)
        with suppress(LeaseLost):
            await self._queue.put_off(lease, seconds=HOST_SECONDS)

    async def _await(self, lease: Lease, why: str) -> None:
        """Let the session wait for what its turn needs; the thread is told once."""
        told = self._told.get(lease.session_id)
        with suppress(LeaseLost):
            if told != why:
                await self._queue.append(lease, [Event(kind="notice", body={"text": why})])
                self._told[lease.session_id] = why
                log.warning("turn_waits", why=why)
            await self._queue.put_off(lease, seconds=AWAITED_SECONDS)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._slots.pop(task, None)
        self._wake.set()

    def _control(self, session_id: str) -> None:
        for slot in self._slots.values():
            if session_id in ("", str(slot.lease.session_id)):
                slot.signals.look.set()

    async def _rest(self) -> None:
        """Wait for a hint, a free slot, the next lease that runs out, or the slow poll."""
        offer = self._offer()
        if offer is Offer.NOBODY:
            await self._wake.wait()
            return
        seconds = self._limits.poll_seconds
        with suppress(Exception):
            due = await self._queue.next_due_seconds(people_only=offer is Offer.PEOPLE)
            if due is not None:
                seconds = min(seconds, max(RETRY_SECONDS, due))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _renew_for_ever(self) -> None:
        every = self._queue.lease_seconds / 3
        while True:
            await asyncio.sleep(every)
            while True:
                try:
                    async with asyncio.timeout(every):
                        await self._queue.renew([slot.lease for slot in self._slots.values()])
                    break
                except Exception as error:
                    log.warning("renew_failed", error=str(error))
                    await asyncio.sleep(AWAY_SECONDS)

    async def _stop(self, now: asyncio.Event) -> None:
        if not self._slots:
            return
        log.info("stopping", turns=len(self._slots))
        finishing = asyncio.wait(set(self._slots), timeout=self._limits.finish_seconds)
        await unless(now, finishing)
        for slot in self._slots.values():
            slot.signals.hand_back.set()
        if self._slots:
            await asyncio.wait(set(self._slots), timeout=HAND_BACK_SECONDS_MAX)


async def unless(now: asyncio.Event, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The work's result; None: it was left, because `now` was set first."""
    working = asyncio.create_task(work)
    tasks: set[asyncio.Task[Any]] = {asyncio.create_task(now.wait()), working}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return None if working.cancelled() else working.result()


async def _set_when(first: asyncio.Event, then: asyncio.Event) -> None:
    await first.wait()
    then.set()


def owner_name(host: str, pid: int, now: Callable[[], float] = time.time) -> str:
    """A name for this process that no other one ever had."""
    return f"{host}:{pid}:{int(now() * 1000):x}"
