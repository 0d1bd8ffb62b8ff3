"""Watching over a turn: who stops it, when its time is up, and whether this process may go on.

    before (while its machine is made ready) ─▶ during (its job runs) ─▶ patiently (its checkpoint)

A person's stop is hinted; it is looked for again every LOOK_SECONDS, as the hint may be lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from adapters.agent import port
from bot.store.database import may_pass
from bot.store.states import TurnState
from bot.work import ended_words
from bot.work.asked import Question
from bot.work.lease import Lease, StopRequest
from bot.work.queue import LeaseLost
from bot.work.work_queue import WorkQueue
from scheduler.waits import first_of

CANCEL_GRACE_SECONDS = 1.0
"""Until a stopped job is killed; an agent is asked for half of it and then gets TERM. Stop
promises two seconds for all."""
LOOK_SECONDS = 2.0
"""A stop is looked for again after so long: the hint may be lost with its sender. Every turn that
runs asks that often, so that many of them together are felt by everybody."""
CHECKPOINT_STOPPED_SECONDS = 10.0
"""For a checkpoint whose session somebody wants to stop; the files stay in the machine."""

Saved = TypeVar("Saved")


@dataclass(kw_only=True)
class TurnSignals:
    """How the worker speaks to a running turn."""

    look: asyncio.Event = field(default_factory=asyncio.Event)
    """Somebody may have asked to stop: look at the session's row."""
    hand_back: asyncio.Event = field(default_factory=asyncio.Event)
    """This process is about to end."""
    was_short: bool = False
    """There was no room for it before: nothing is issued until it has a machine."""


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """Why a job was ended before its own end."""

    state: TurnState
    summary: str
    by: str | None = None
    """Name of the person who asked for it."""


Due = Callable[[], Awaitable[Question | Cancelled | None]]
"""What has become due in a turn: a question, its end, or nothing."""


class Stopped(Exception):
    """A person stopped the session before a turn began."""


class HandedBack(Exception):
    """The turn goes on in another process."""


class Watch:
    """The watch over one run of a turn."""

    def __init__(
        self,
        queue: WorkQueue,
        lease: Lease,
        signals: TurnSignals,
        *,
        seconds_max: float,
        due: Due,
    ) -> None:
        """`seconds_max`: the turn's time limit; it counts on the lease's clock.

        :param due: says whether the turn has come to another bound
        """
        self._due = due
        self._queue = queue
        self._lease = lease
        self._signals = signals
        self._seconds_max = seconds_max
        self.cancelled: Cancelled | None = None
        """Set before the job is told to end."""
        self.question: Question | None = None
        """What a person has to decide before the turn goes on; set before `during` returns."""

    async def before(self, *, begun: bool) -> None:
        """Return when there is no point in making the machine ready any more.

        :param begun: the turn is open, left by an earlier holder
        :raises Stopped:
        """
        while not self._signals.hand_back.is_set():
            await self._rest()
            self._signals.look.clear()
            # A turn that is open has a job: it is ended there, once we are in.
            if not begun and await self._stop_request() is not None:
                raise Stopped

    async def during(self, run: port.Run) -> None:
        """Return when the turn shall be handed back, or wait for a person; cancel the job for any
        other reason.

        :raises LeaseLost:
        """
        while not self._signals.hand_back.is_set():
            if self._lease.lost:
                raise LeaseLost("claimed by another worker")
            self._signals.look.clear()
            if self.cancelled is None and self._lease.left_seconds > 0:
                match await self._bound():
                    case Question() as question:
                        self.question = question
                        return
                    case Cancelled() as cancelled:
                        self.cancelled = cancelled
                        await run.cancel(grace_seconds=CANCEL_GRACE_SECONDS)
            await self._rest()

    async def patiently(self, saving: Awaitable[Saved]) -> Saved | None:
        """What is saved; None: a person who stops had waited long enough, and it was given up."""
        task = asyncio.ensure_future(saving)
        stopped: float | None = None
        try:
            while True:
                await asyncio.wait({task}, timeout=LOOK_SECONDS)
                if task.done():
                    return task.result()
                if stopped is None and await self._stop_request() is not None:
                    stopped = monotonic()
                if stopped is not None and monotonic() - stopped >= CHECKPOINT_STOPPED_SECONDS:
                    return None
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task

    async def _bound(self) -> Question | Cancelled | None:
        """Why the turn can't go on as it does; None: it can."""
        cancelled = await self._reason_to_cancel()
        if cancelled is not None:
            return cancelled
        try:
            return await self._due()
        except Exception as error:
            if not may_pass(error):
                raise
            return None

    async def _reason_to_cancel(self) -> Cancelled | None:
        assert self._lease.clock is not None
        if self._lease.clock.ran_seconds >= self._seconds_max:
            summary = ended_words.at_limit(self._seconds_max)
            return Cancelled(state=TurnState.TIMED_OUT, summary=summary)
        stop = await self._stop_request()
        if stop is None:
            return None
        summary = ended_words.stopped(stop)
        return Cancelled(state=TurnState.STOPPED, summary=summary, by=stop.name)

    async def _stop_request(self) -> StopRequest | None:
        try:
            return await self._queue.stop_request(self._lease)
        except Exception as error:
            if not may_pass(error):
                raise
            return None

    async def _rest(self) -> None:
        """Until somebody signals, at most LOOK_SECONDS."""
        signals = self._signals
        await first_of(signals.look, signals.hand_back, seconds_max=LOOK_SECONDS)
