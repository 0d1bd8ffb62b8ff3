"""Writes a turn's events: in order, in batches, with the cursor, through database outages.

Events wait in a bounded spool while the database is away; when it is full the reader of the job
waits, and the job's own spool in the machine keeps the rest.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from bot.store.database import may_pass
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event, LeaseLost
from bot.work.work_queue import WorkQueue

log = structlog.get_logger(__name__)

SPOOL_BYTES_MAX = 4 * 1024 * 1024
BATCH_BYTES_MAX = 256 * 1024
OUTPUT_BYTES_MAX = 16 * 1024
"""How long one event may grow when several of its kind wait to be written."""
GROWING = frozenset({"output", "text", "thought"})
"""Kinds whose texts, one after the other, say the same in one event."""
GAP_SECONDS = 0.03
"""Between two writes of one turn, so that a chatty job makes batches and not transactions."""
RETRY_SECONDS = 1.0


@dataclass(kw_only=True)
class _Waiting:
    event: Event
    cursor: Mapping[str, Any] | None
    size: int


class Recorder:
    """The event writer of one turn."""

    def __init__(self, queue: WorkQueue, lease: Lease, turn: OpenTurn) -> None:
        """Write for `turn` with the token of `lease`."""
        self._queue = queue
        self._lease = lease
        self._turn = turn
        self._batches = turn.batches
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._changed = asyncio.Condition()
        self._failure: Exception | None = None
        self._writing = False

    async def put(self, event: Event, cursor: Mapping[str, Any] | None = None) -> None:
        """Hand over an event; waits while the spool is full. :raises LeaseLost:."""
        size = sum(len(v) for v in event.body.values() if isinstance(v, str)) + 64
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure or self._size < SPOOL_BYTES_MAX)
            self._check()
            if not self._grow_last(event, cursor, size):
                self._waiting.append(_Waiting(event=event, cursor=cursor, size=size))
            self._size += size
            self._changed.notify_all()

    async def drain(self) -> None:
        """Return when everything handed over is stored. :raises LeaseLost:."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: self._failure or not (self._waiting or self._writing)
            )
            self._check()

    async def run(self) -> None:
        """Write until cancelled; a lost lease ends it and is raised by `put` and `drain`."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._waiting)
                batch = self._take()
                self._writing = True
            try:
                await self._write(batch)
            except Exception as error:
                await self._fail(error)
                return
            async with self._changed:
                self._writing = False
                self._size -= sum(one.size for one in batch)
                self._changed.notify_all()
            await asyncio.sleep(GAP_SECONDS)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _grow_last(self, event: Event, cursor: Mapping[str, Any] | None, size: int) -> bool:
        if not self._waiting or event.kind not in GROWING:
            return False
        last = self._waiting[-1]
        if last.event.kind != event.kind or _but_text(last.event) != _but_text(event):
            return False
        if last.size + size > OUTPUT_BYTES_MAX:
            return False
        joined = {**last.event.body, "text": last.event.body["text"] + event.body["text"]}
        last.event = Event(kind=event.kind, body=joined)
        last.cursor = cursor
        last.size += size
        return True

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and size < BATCH_BYTES_MAX:
            batch.append(self._waiting.popleft())
            size += batch[-1].size
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        cursors = [one.cursor for one in batch if one.cursor is not None]
        while True:
            try:
                await self._queue.record(
                    self._lease,
                    self._turn,
                    [one.event for one in batch],
                    batch=self._batches + 1,
                    cursor=cursors[-1] if cursors else None,
                )
                self._batches += 1
                return
            except Exception as error:
                if not may_pass(error) or self._lease.lost:
                    raise
                log.warning("events_wait_for_database", waiting_bytes=self._size)
            await asyncio.sleep(RETRY_SECONDS)

    async def _fail(self, error: Exception) -> None:
        async with self._changed:
            if self._lease.lost and not isinstance(error, LeaseLost):
                error = LeaseLost(str(error))
            self._failure = error
            self._waiting.clear()
            self._changed.notify_all()


def _but_text(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.body.items() if name != "text"}
