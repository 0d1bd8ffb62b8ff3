"""The clock: whoever leads writes down what has become due, each due moment once.

    table ─▶ what is due within seconds ─▶ timer ─▶ due rows ─▶ `decide` (pure) ─▶ firings
      ▲                                                                             │
      └──────────────── next due moment, in the same transaction ◀──────────────────┘

The table is the truth: the timer only rings, and holds nothing that a successor would miss. A
firing is a row, unique by schedule and due moment, so that whoever comes second finds it there. The
database's clock alone decides what is due; the clock of this host only says how long to wait.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from scheduler import due_rows
from scheduler.leader import Leader, Tx
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

LEASE_SECONDS = 5.0
"""Twice as long as a leader that decides for long needs from one renewal to the next."""
POLL_SECONDS = 1.5
"""Between two looks at the table; a leader that is gone is replaced within both together."""
AHEAD_SECONDS = 10.0
"""What is due within that time is in the timer."""
BATCH = 500
"""Schedules whose firings are one transaction."""
Begin = Callable[[], AbstractAsyncContextManager[Tx]]


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What one look at the table did."""

    leads: bool
    fired: int = 0
    """Firings that were written down, those that are skipped among them."""
    ahead: tuple[timedelta, ...] = ()
    """From now until what is due next, for as far as the timer looks."""


class Clock:
    """Writes firings while it leads."""

    def __init__(
        self,
        begin: Begin,
        leader: Leader,
        *,
        new_id: Callable[[], UUID],
        on_fired: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """`begin` opens a transaction; `new_id` makes the ids of firings.

        :param on_fired: called after firings were committed
        :param now: the time instead of the database's, for measuring and tests
        """
        self._begin = begin
        self._leader = leader
        self._new_id = new_id
        self._on_fired = on_fired
        self._now = now
        self._poll_seconds = poll_seconds
        self.look = asyncio.Event()
        """Set it when the table has changed: what is due next may be sooner."""

    async def run(self, stop: asyncio.Event) -> None:
        """Fire what is due until `stop`; then resign."""
        with _timer(self.look) as timer:
            while not stop.is_set():
                self.look.clear()
                try:
                    timer.plan((await self.tick()).ahead)
                except Exception as error:
                    log.warning("clock_failed", error=str(error), exc_info=True)
                    timer.plan(())
                await first_of(stop, self.look, seconds_max=self._poll_seconds)
        with contextlib.suppress(Exception):
            # Who can't resign is replaced when its lease is over.
            async with self._begin() as tx:
                await self._leader.resign(tx)

    async def tick(self) -> Tick:
        """Write down everything that is due now, if this process leads or can."""
        fired = 0
        while True:
            async with self._begin() as tx:
                if await self._leader.lead(tx) is None:
                    return Tick(leads=False, fired=fired)
                now = self._now() if self._now else await due_rows.now(tx)
                batch = await due_rows.fire(tx, now, limit=BATCH, new_id=self._new_id)
                until = now + timedelta(seconds=AHEAD_SECONDS)
                ahead = await due_rows.ahead(tx, until) if not batch.more else ()
            fired += batch.fired
            if batch.fired:
                self._on_fired()
            if not batch.more:
                waits = tuple(one - now for one in ahead)
                return Tick(leads=True, fired=fired, ahead=waits)


class _Timer:
    """Rings at each of the moments it was told of."""

    def __init__(self, scheduler: AsyncIOScheduler, bell: asyncio.Event) -> None:
        self._scheduler = scheduler
        self._bell = bell

    def plan(self, waits: tuple[timedelta, ...]) -> None:
        """Ring after each of these times from now, and at no other."""
        self._scheduler.remove_all_jobs()
        now = datetime.now(UTC)
        for wait in waits:
            self._scheduler.add_job(self._ring, "date", run_date=now + wait)

    async def _ring(self) -> None:
        self._bell.set()


@contextlib.contextmanager
def _timer(bell: asyncio.Event) -> Iterator[_Timer]:
    scheduler = AsyncIOScheduler(
        timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
    )
    scheduler.start()
    try:
        yield _Timer(scheduler, bell)
    finally:
        scheduler.shutdown(wait=False)
