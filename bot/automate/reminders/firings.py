"""Firings of reminders become posts and prompts.

    due row ─▶ may its creator post there? ─▶ words: the reply rows               ─▶ done
                                           └▶ a prompt: the inbox accepts it once,
                                              by the firing's id ─▶ … ─▶ its answer ─▶ done

What can't be said is told as well (`failed`); what is not to be said is `skipped`. Any process may
act: a row is locked by whoever does. What was not finished when a process ended is acted on again,
and neither a reply nor a prompt comes of it twice: both are known by the firing. One whose acting
raises is put off by a transaction of its own, so that the others don't wait for it.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog

from adapters.chat.port import ChatError
from bot.automate.reminders import answer_rows, firing_rows, reminder_rows
from bot.automate.reminders.answer_rows import Answer
from bot.automate.reminders.answering import compares, is_unchanged
from bot.automate.reminders.firing_rows import SQL
from bot.automate.reminders.silencing import threads_in
from bot.store.database import FIRINGS, Database, Listener, is_away
from bot.store.transaction import Transaction
from scheduler.due_rows import UNREADABLE
from scheduler.local import is_zone
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
ANSWER_SECONDS = 2.0
"""Between two looks at what an agent answers."""
ANSWER_HOURS_MAX = 24.0
"""After which nobody waits for it any more."""
RETRY_SECONDS = 30.0
RETRY_SECONDS_MIN = 5.0
ATTEMPTS_MAX = 20
"""Of one firing, whatever went wrong."""


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
        row: Any = None
        try:
            async with self._database.begin() as tx:
                row = (await tx.execute(SQL["take"])).one_or_none()
                asks = row is not None and await self._inside(tx, row)
            if asks:
                await self._outside(row)
        except Exception as error:
            if row is None or is_away(error):
                raise
            is_first = row.attempts == 0
            log.warning("firing_put_off", reminder=row.short, error=repr(error), exc_info=is_first)
            await self._put_off(row)
        return row is not None

    async def _inside(self, tx: Transaction, row: Any) -> bool:
        """What the database alone is asked for; whether others are to be asked next."""
        if row.prompt_id is not None:
            if not await firing_rows.holds(tx, row):
                await self._collect(tx, row)
            return False
        if not await self._is_wanted(tx, row):
            return False
        if not (row.is_prompt or _has_channel(row)):
            await self._post(tx, row)
            return False
        # Whoever ends before the prompt is accepted leaves it to the next, after a while.
        await tx.execute(SQL["hold"], {"id": row.firing_id, "seconds": RETRY_SECONDS})
        return True

    async def _put_off(self, row: Any) -> None:
        """Try one that raised again, later each time; in the end it fails, and that is told."""
        attempts = row.attempts + 1
        if attempts < ATTEMPTS_MAX:
            again = {"id": row.firing_id, "attempts": attempts, "seconds": pause(row.attempts)}
            await self._database.run(SQL["put_off"], again)
            return
        try:
            async with self._database.begin() as tx:
                if await firing_rows.stands(tx, row.firing_id):
                    await self._fail(tx, row, "attempts")
        except Exception as error:
            if is_away(error):
                raise
            # Not even that can be said: it must not be tried for ever.
            log.error("firing_not_told", reminder=row.short, error=repr(error))
            async with self._database.begin() as tx:
                await firing_rows.end(tx, row.firing_id, "failed", "attempts")

    async def _outside(self, row: Any) -> None:
        """What asks others than the database first."""
        try:
            may = await self._ways.check(row)
        except ChatError as error:
            log.warning("membership_not_known", reminder=row.short, why=str(error))
            return
        # Meanwhile it may have been paused or deleted, or another process may have said it.
        async with self._database.begin() as tx:
            if not await firing_rows.stands(tx, row.firing_id):
                return
            if may and not row.is_prompt:
                await self._post(tx, row)
                return
        if not may:
            await self._ways.deny(row)
            async with self._database.begin() as tx:
                await reminder_rows.pause(tx, row, why="member")
                await firing_rows.end(tx, row.firing_id, "skipped", "member")
        else:
            await self._prompt(row)

    async def _post(self, tx: Transaction, row: Any) -> None:
        await self._ways.post(tx, row)
        await firing_rows.end(tx, row.firing_id, "done")

    async def _is_wanted(self, tx: Transaction, row: Any) -> bool:
        if row.why == UNREADABLE and row.state == "paused":
            if await firing_rows.holds(tx, row):
                return False
            await self._pause(tx, row, "time" if is_zone(row.zone) else "zone")
            return False
        if not await firing_rows.stands(tx, row.firing_id) or await firing_rows.waits(tx, row):
            return False
        if why := await self._stopped_by(tx, row):
            await self._pause(tx, row, why)
            return False
        if not row.project_there or row.attempts >= ATTEMPTS_MAX:
            await self._fail(tx, row, "attempts" if row.project_there else "project")
            return False
        return True

    async def _stopped_by(self, tx: Transaction, row: Any) -> str:
        """Why it is not to be due any more; empty: nothing is in its way."""
        if not row.creator_active:
            return "creator"
        threads = threads_in(row.targets)
        if threads is None:
            return "targets"
        if not await tx.scalar(SQL["has_place"], {"threads": threads}):
            return "thread"
        return "" if is_zone(row.zone) else "zone"

    async def _pause(self, tx: Transaction, row: Any, why: str) -> None:
        """Let it not be due any more, and tell that; if its threads went, nobody is left to be."""
        await reminder_rows.pause(tx, row, why=why)
        if why != "thread":
            await self._ways.tell(tx, row, why)
        await firing_rows.end(tx, row.firing_id, "skipped" if why == "creator" else "failed", why)

    async def _prompt(self, row: Any) -> None:
        put = await self._ways.prompt(row)
        async with self._database.begin() as tx:
            if put.prompt_id is None:
                if await firing_rows.stands(tx, row.firing_id):
                    await self._fail(tx, row, put.why)
                return
            asked = {"id": row.firing_id, "prompt": put.prompt_id, "seconds": ANSWER_SECONDS}
            await tx.execute(SQL["asked"], asked)

    async def _collect(self, tx: Transaction, row: Any) -> None:
        """Say what the agent answered, if it has."""
        found = await answer_rows.of(tx, row.prompt_id)
        if found is None:
            await self._fail(tx, row, "cancelled")
        elif found.state == "open":
            await self._wait(tx, row, found)
        elif found.state != "answered":
            await self._fail(tx, row, found.why or found.state)
        elif not found.text:
            await self._fail(tx, row, "silent")
        elif compares(row) and is_unchanged(found.text):
            await firing_rows.end(tx, row.firing_id, "skipped", "unchanged")
        else:
            await self._ways.post(tx, row, found)
            await reminder_rows.answered(tx, row, found.text)
            await firing_rows.end(tx, row.firing_id, "done")

    async def _wait(self, tx: Transaction, row: Any, found: Answer) -> None:
        if row.now - row.fired_at > timedelta(hours=ANSWER_HOURS_MAX):
            await self._fail(tx, row, "slow")
            return
        if found.question:
            await self._ways.ask(tx, row, found)
        until = row.now + timedelta(seconds=ANSWER_SECONDS)
        await tx.execute(SQL["wait"], {"id": row.firing_id, "until": until, "why": ""})

    async def _fail(self, tx: Transaction, row: Any, why: str) -> None:
        await self._ways.tell(tx, row, why)
        await firing_rows.end(tx, row.firing_id, "failed", why)


def pause(attempts: int) -> float:
    """Seconds until one is tried again that raised, after so many attempts before; pure."""
    return min(RETRY_SECONDS, RETRY_SECONDS_MIN * 2.0**attempts)


def _has_channel(row: Any) -> bool:
    """Whether it goes where not everybody may post."""
    return any(target.get("channel") for target in row.targets)
