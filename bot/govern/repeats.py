"""Audits what happens again and again: the first of its kind at once, what is equal by its number.

    note ──▶ written within WRITE_SECONDS ──▶ equal ones are counted ──▶ after the window: how many

Whoever notes does not wait. While the database is away everything is kept, up to a bound; what is
beyond it is counted and told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

import structlog

from bot.govern.audit import HERE, Audited, record
from bot.store.database import Database, is_away
from bot.store.transaction import Transaction
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
"""For which equal ones are counted and not written each."""
WRITE_SECONDS = 1.0
"""Between two writes: what a kill of the process loses."""
KINDS_MAX = 10_000
"""Different ones in a window."""
ROWS_MAX = 1000
"""Written in one transaction."""

Complete = Callable[[Transaction, Sequence[Audited]], Awaitable[Sequence[Audited]]]
"""Adds what only the database knows."""


@dataclass(kw_only=True)
class _Seen:
    event: Audited
    until: float
    """Of the window, on this process's clock."""
    first_at: datetime
    last_at: datetime
    count: int = 1
    written: int = 0


async def _as_it_is(_tx: Transaction, events: Sequence[Audited]) -> Sequence[Audited]:
    return events


class Repeats:
    """Takes what happens, and writes it down in time."""

    def __init__(
        self,
        database: Database,
        *,
        window_seconds: float = WINDOW_SECONDS,
        kinds_max: int = KINDS_MAX,
        complete: Complete = _as_it_is,
    ) -> None:
        """`run` has to be running for anything to be written."""
        self._database = database
        self.window_seconds = window_seconds
        self._kinds_max = kinds_max
        self._complete = complete
        self._seen: dict[Hashable, _Seen] = {}
        self._lost = 0

    def note(self, event: Audited, *, key: Hashable = None) -> None:
        """Take something that happened; those with an equal key are the same again.

        :param key: None: the event itself but for its body
        """
        if key is None:
            key = replace(event, body={}).__repr__()
        now = datetime.now(UTC)
        seen = self._seen.get(key)
        if seen is not None:
            seen.count += 1
            seen.last_at = now
        elif len(self._seen) >= self._kinds_max:
            self._lost += 1
        else:
            until = monotonic() + self.window_seconds
            self._seen[key] = _Seen(event=event, until=until, first_at=now, last_at=now)

    def is_known(self, key: Hashable) -> bool:
        """Whether one with this key is being counted."""
        return key in self._seen

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, then what is left."""
        while not stop.is_set():
            if not await first_of(stop, seconds_max=WRITE_SECONDS):
                await self._write_if_possible(last=False)
        await self._write_if_possible(last=True)

    async def _write_if_possible(self, *, last: bool) -> None:
        try:
            await self.write(last=last)
        except Exception as error:
            if not is_away(error):
                log.exception("audit_not_written", waiting=len(self._seen))
                return
            log.warning("audit_waits_for_database", waiting=len(self._seen), error=str(error))

    async def write(self, *, last: bool = False) -> None:
        """Write what is due; with `last` also what could still be counted."""
        now = monotonic()
        due = [
            (key, seen, seen.count if last or seen.until <= now else 1)
            for key, seen in self._seen.items()
            if seen.written == 0 or last or seen.until <= now
        ]
        for begin in range(0, len(due), ROWS_MAX):
            await self._write(due[begin : begin + ROWS_MAX])
        for key, seen, count in due:
            if seen.count == count and (last or seen.until <= now):
                del self._seen[key]
        if self._lost:
            lost, self._lost = self._lost, 0
            body = {"events": lost}
            try:
                async with self._database.begin() as tx:
                    failed = Audited(kind="audit.lost", by=HERE, outcome="failed", body=body)
                    await record(tx, failed)
            except BaseException:
                self._lost += lost
                raise

    async def _write(self, due: "Sequence[tuple[Hashable, _Seen, int]]") -> None:
        rows = [row for _, seen, count in due if count > seen.written for row in _rows(seen, count)]
        async with self._database.begin() as tx:
            await record(tx, *await self._complete(tx, rows))
        for _, seen, count in due:
            seen.written = count


def _rows(seen: _Seen, count: int) -> list[Audited]:
    """The first one as it was, then how many followed it."""
    rows = [seen.event] if seen.written == 0 else []
    repeats = count - max(seen.written, 1)
    if repeats > 0:
        span = {"first": seen.first_at, "last": seen.last_at, "repeats": repeats}
        rows.append(replace(seen.event, body={**seen.event.body, **span}))
    return rows
