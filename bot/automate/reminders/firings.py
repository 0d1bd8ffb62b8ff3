"""Firings of reminders become posts and prompts.

    due row ─▶ may its creator post there? ─▶ words: the reply rows               ─▶ done
                                           └▶ a prompt: the inbox accepts it once,
                                              by the firing's id ─▶ … ─▶ its answer ─▶ done

What can't be said is told as well (`failed`); what is not to be said is `skipped`. Any process may
act: a row is locked by whoever does. What was not finished when a process ended is acted on again,
and neither a reply nor a prompt comes of it twice: both are known by the firing.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError
from bot.automate.reminders import answers, quiet, reminder_rows
from bot.automate.reminders.answering import compares, is_unchanged
from bot.automate.reminders.answers import Answer
from bot.store.database import FIRINGS, Database, Listener, is_away
from bot.store.transaction import Transaction
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
ANSWER_SECONDS = 2.0
"""Between two looks at what an agent answers."""
ANSWER_HOURS_MAX = 24.0
"""After which nobody waits for it any more."""
RETRY_SECONDS = 30.0
ATTEMPTS_MAX = 20
_TAKE = text(
    """
    SELECT firing.id AS firing_id, firing.due_at AS fired_for, firing.missed, firing.attempts,
           reminder.id, reminder.short, reminder.creator_id, reminder.project_id,
           reminder.session_id, reminder.what, reminder.is_prompt, reminder.said,
           reminder.targets, reminder.quiet, reminder.language, reminder.schedule_id,
           reminder.only_changed, reminder.by_agent, reminder.last_answer, reminder.answered_at,
           reminder.thread_id, firing.prompt_id, firing.fired_at,
           EXISTS (SELECT FROM thread, jsonb_array_elements(reminder.targets) AS target (value)
                    WHERE thread.id = CAST(target.value ->> 'thread' AS uuid)) AS has_place,
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
_PASSED_OVER = text(
    """
    WITH passed AS (
        UPDATE firing SET state = 'skipped', why = 'quiet', ended_at = clock_timestamp()
         WHERE schedule_id = :schedule AND state = 'due' AND why = 'quiet' AND due_at < :due
        RETURNING missed + 1 AS missed)
    UPDATE firing SET missed = missed + (SELECT coalesce(sum(missed), 0) FROM passed)
     WHERE id = :id
    """
)
_STANDS = text(
    """
    SELECT schedule.state FROM firing JOIN schedule ON schedule.id = firing.schedule_id
     WHERE firing.id = :id AND firing.state = 'due' FOR UPDATE OF firing
    """
)
_ASKED = text(
    """
    UPDATE firing
       SET prompt_id = :prompt, attempts = 0,
           act_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE id = :id AND state = 'due'
    """
)
_END = text(
    """
    UPDATE firing SET state = :state, why = :why, ended_at = clock_timestamp()
     WHERE id = :id AND state = 'due'
    """
)


@dataclass(frozen=True, kw_only=True)
class Put:
    """What became of a prompt that was to be asked."""

    prompt_id: UUID | None = None
    why: str = ""
    """Why it can't be asked."""


class Ways(Protocol):
    """How what is due reaches people; see `bot.conversation.due`."""

    async def check(self, row: Any) -> bool:
        """Whether its creator may post where it goes. :raises ChatError: that is not known"""
        ...

    async def deny(self, row: Any) -> None:
        """Tell its creator that they may not, and that it is paused."""
        ...

    async def post(self, tx: Transaction, row: Any, answer: Answer | None = None) -> None:
        """Write the replies that say a reminder, or what an agent answered."""
        ...

    async def prompt(self, row: Any) -> Put:
        """Have it answered, once for each firing."""
        ...

    async def tell(self, tx: Transaction, row: Any, why: str) -> None:
        """Tell the places of a reminder why there is nothing."""
        ...

    async def ask(self, tx: Transaction, row: Any, answer: Answer) -> None:
        """Tell them, once, that its agent asks something."""
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
                await first_of(stop, self._look, seconds_max=self._poll_seconds)
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
            if row.prompt_id is not None:
                await self._collect(tx, row)
                return True
            if not await self._is_wanted(tx, row):
                return True
            if not (row.is_prompt or _has_channel(row)):
                await self._post(tx, row)
                return True
            # Whoever ends before the prompt is accepted leaves it to the next, after a while.
            await tx.execute(_HOLD, {"id": row.firing_id, "seconds": RETRY_SECONDS})
        await self._outside(row)
        return True

    async def _outside(self, row: Any) -> None:
        """What asks others than the database first."""
        try:
            may = await self._ways.check(row)
        except ChatError as error:
            log.warning("membership_not_known", reminder=row.short, why=str(error))
            return
        # Meanwhile it may have been paused or deleted, or another process may have said it.
        async with self._database.begin() as tx:
            if not await _stands(tx, row.firing_id):
                return
            if may and not row.is_prompt:
                await self._post(tx, row)
                return
        if not may:
            await self._ways.deny(row)
            async with self._database.begin() as tx:
                await reminder_rows.pause(tx, row, why="member")
                await _end(tx, row.firing_id, "skipped", "member")
        else:
            await self._prompt(row)

    async def _post(self, tx: Transaction, row: Any) -> None:
        await self._ways.post(tx, row)
        await _end(tx, row.firing_id, "done")

    async def _is_wanted(self, tx: Transaction, row: Any) -> bool:
        if not await _stands(tx, row.firing_id):
            return False
        if not row.creator_active:
            await reminder_rows.pause(tx, row, why="creator")
            await self._ways.tell(tx, row, "creator")
            await _end(tx, row.firing_id, "skipped", "creator")
            return False
        if not row.has_place:
            # Its threads went with their sessions: nobody is left to be told.
            await reminder_rows.pause(tx, row, why="thread")
            await _end(tx, row.firing_id, "failed", "thread")
            return False
        if not row.project_there or row.attempts >= ATTEMPTS_MAX:
            why = "attempts" if row.project_there else "project"
            await self._ways.tell(tx, row, why)
            await _end(tx, row.firing_id, "failed", why)
            return False
        until = quiet.ends(row.quiet, row.now, ZoneInfo(row.zone))
        if until is not None:
            # What comes again and again meanwhile is said once when the hours are over.
            before = {"id": row.firing_id, "schedule": row.schedule_id, "due": row.fired_for}
            await tx.execute(_PASSED_OVER, before)
            await tx.execute(_WAIT, {"id": row.firing_id, "until": until, "why": "quiet"})
        return until is None

    async def _prompt(self, row: Any) -> None:
        put = await self._ways.prompt(row)
        async with self._database.begin() as tx:
            if put.prompt_id is None:
                if await _stands(tx, row.firing_id):
                    await self._fail(tx, row, put.why)
                return
            asked = {"id": row.firing_id, "prompt": put.prompt_id, "seconds": ANSWER_SECONDS}
            await tx.execute(_ASKED, asked)

    async def _collect(self, tx: Transaction, row: Any) -> None:
        """Say what the agent answered, if it has."""
        found = await answers.of(tx, row.prompt_id)
        if found is None:
            await self._fail(tx, row, "cancelled")
        elif found.state == "open":
            await self._wait(tx, row, found)
        elif found.state != "answered":
            await self._fail(tx, row, found.why or found.state)
        elif not found.text:
            await self._fail(tx, row, "silent")
        elif compares(row) and is_unchanged(found.text):
            await _end(tx, row.firing_id, "skipped", "unchanged")
        else:
            await self._ways.post(tx, row, found)
            await reminder_rows.answered(tx, row, found.text)
            await _end(tx, row.firing_id, "done")

    async def _wait(self, tx: Transaction, row: Any, found: Answer) -> None:
        if row.now - row.fired_at > timedelta(hours=ANSWER_HOURS_MAX):
            await self._fail(tx, row, "slow")
            return
        if found.question:
            await self._ways.ask(tx, row, found)
        until = row.now + timedelta(seconds=ANSWER_SECONDS)
        await tx.execute(_WAIT, {"id": row.firing_id, "until": until, "why": ""})

    async def _fail(self, tx: Transaction, row: Any, why: str) -> None:
        await self._ways.tell(tx, row, why)
        await _end(tx, row.firing_id, "failed", why)


def _has_channel(row: Any) -> bool:
    """Whether it goes where not everybody may post."""
    return any(target.get("channel") for target in row.targets)


async def _stands(tx: Transaction, firing_id: UUID) -> bool:
    """Whether it is still to be said; what was paused since it was due is not."""
    state = (await tx.execute(_STANDS, {"id": firing_id})).scalar_one_or_none()
    if state == "paused":
        await _end(tx, firing_id, "skipped", "paused")
    return state not in {None, "paused"}


async def _end(tx: Transaction, firing_id: UUID, state: str, why: str = "") -> None:
    await tx.execute(_END, {"id": firing_id, "state": state, "why": why})
