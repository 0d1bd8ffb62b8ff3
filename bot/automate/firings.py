"""Firings of reminders become posts and prompts.

    due row ─▶ words: the reply rows, in the same transaction       ─▶ done
            └▶ a prompt: the inbox accepts it once, by the firing's id ─▶ done, or failed and told

Any process may act: a row is locked by whoever does. What was not finished when a process ended is
acted on again, and neither a reply nor a prompt comes of it twice: both are known by the firing.
"""

import asyncio
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import text

from bot.automate import quiet, reminders
from bot.store.database import FIRINGS, Database, Listener, is_away
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

POLL_SECONDS = 5.0
RETRY_SECONDS = 30.0
ATTEMPTS_MAX = 20
_TAKE = text(
    """
    SELECT firing.id AS firing_id, firing.due_at AS fired_for, firing.missed, firing.attempts,
           reminder.id, reminder.short, reminder.creator_id, reminder.project_id,
           reminder.session_id, reminder.what, reminder.is_prompt, reminder.said,
           reminder.targets, reminder.quiet, reminder.language, reminder.schedule_id,
           schedule.zone, schedule.state, person.name AS creator,
           person.deactivated_at IS NULL AS creator_active,
           project.removed_at IS NULL AS project_there, clock_timestamp() AS now
      FROM firing JOIN reminder ON reminder.schedule_id = firing.schedule_id
      JOIN schedule ON schedule.id = firing.schedule_id
      JOIN person ON person.id = reminder.creator_id
      JOIN project ON project.id = reminder.project_id
     WHERE firing.state = 'due' AND firing.act_at <= clock_timestamp()
     ORDER BY firing.act_at LIMIT 1 FOR UPDATE OF firing SKIP LOCKED
    """
)
_HOLD = text(
    """
    UPDATE firing
       SET attempts = attempts + 1, act_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE id = :id
    """
)
_WAIT = text("UPDATE firing SET act_at = :until, why = :why WHERE id = :id")
_END = text(
    """
    UPDATE firing SET state = :state, why = :why, ended_at = clock_timestamp()
     WHERE id = :id AND state = 'due'
    """
)


class Ways(Protocol):
    """How what is due reaches people; see `bot.conversation.due`."""

    async def post(self, tx: Transaction, row: Any) -> None:
        """Write the replies that say a reminder."""
        ...

    async def prompt(self, row: Any) -> str:
        """Have it answered, once for each firing; why that can't be, or empty."""
        ...

    async def tell(self, tx: Transaction, row: Any, why: str) -> None:
        """Tell the places of a reminder why there is nothing."""
        ...


class Firings:
    """Acts on the firings of reminders."""

    def __init__(
        self,
        database: Database,
        ways: Ways,
        *,
        listener: Listener | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """`listener` brings the hints; without one it polls."""
        self._poll_seconds = poll_seconds
        self._database = database
        self._ways = ways
        self._listener = listener
        self._look = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Act until `stop`."""
        off = self._listener.on(FIRINGS, lambda _: self._look.set()) if self._listener else None
        try:
            while not stop.is_set():
                self._look.clear()
                await self._all(stop)
                await _first(stop, self._look, seconds=self._poll_seconds)
        finally:
            if off is not None:
                off()

    async def once(self) -> int:
        """Act on everything that is due now; how many there were."""
        count = 0
        while await self._one():
            count += 1
        return count

    async def _all(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set() and await self._one():
                pass
        except Exception as error:
            if not is_away(error):
                log.exception("firing_failed")

    async def _one(self) -> bool:
        """Act on one; False: none is due."""
        async with self._database.begin() as tx:
            row = (await tx.execute(_TAKE)).one_or_none()
            if row is None:
                return False
            if not await self._is_wanted(tx, row):
                return True
            if not row.is_prompt:
                await self._ways.post(tx, row)
                await _end(tx, row.firing_id, "done")
                return True
            # Whoever ends before the prompt is accepted leaves it to the next, after a while.
            await tx.execute(_HOLD, {"id": row.firing_id, "seconds": RETRY_SECONDS})
        await self._prompt(row)
        return True

    async def _is_wanted(self, tx: Transaction, row: Any) -> bool:
        if not row.creator_active:
            await reminders.pause(tx, row, why="creator")
            await self._ways.tell(tx, row, "creator")
            await _end(tx, row.firing_id, "skipped", "creator")
            return False
        if not row.project_there or row.attempts >= ATTEMPTS_MAX:
            why = "attempts" if row.project_there else "project"
            await self._ways.tell(tx, row, why)
            await _end(tx, row.firing_id, "failed", why)
            return False
        until = quiet.ends(row.quiet, row.now, ZoneInfo(row.zone))
        if until is not None:
            await tx.execute(_WAIT, {"id": row.firing_id, "until": until, "why": "quiet"})
        return until is None

    async def _prompt(self, row: Any) -> None:
        why = await self._ways.prompt(row)
        async with self._database.begin() as tx:
            if why:
                await self._ways.tell(tx, row, why)
            else:
                await self._ways.post(tx, row)
            await _end(tx, row.firing_id, "failed" if why else "done", why)


async def _end(tx: Transaction, firing_id: UUID, state: str, why: str = "") -> None:
    await tx.execute(_END, {"id": firing_id, "state": state, "why": why})


async def _first(stop: asyncio.Event, look: asyncio.Event, *, seconds: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (stop, look)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
