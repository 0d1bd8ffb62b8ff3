"""The sender: replies that are due become posts, each once.

                 ┌───────────── a new wording ─────────────┐
                 ▼                                         │
              pending ──take──▶ sending ──post, edit──▶  sent
                 ▲  ▲              │ │ └─▶ failed: muted, gone, rejected, given up
                 │  └─throttled,───┘ │
                 │    unavailable    └─ uncertain, killed, stopped: stays `sending`
                 └─found, or certainly not there ◀─look up─┘ until its time has passed

- A reply is taken in one transaction, sent outside of any, stored in another that shows the name
  under which it was taken. Who finds another name there drops its result.
- `pending` without a ref means: certainly not posted. Whatever leaves that open leaves the row
  `sending`; after its time any sender may take it, and looks its mark up before it posts.
- The deadline of a call counts from before the row was taken, on CLOCK_BOOTTIME, and is shorter
  than the time for which it is taken: a request still under way then has that long to arrive.
"""

import asyncio
from collections.abc import Mapping

import structlog

from adapters.chat.port import ChatPort
from bot.conversation.outgoing import (
    LEASE_SECONDS,
    RETRY_SECONDS,
    SEND_SECONDS,
    Outgoing,
    Taken,
    Times,
)
from bot.conversation.posting import Posting
from bot.conversation.replies import LIVE_SECONDS
from bot.metrics import OUTBOX_AGE_SECONDS
from bot.store.database import OUTBOX, Database, Listener, is_away
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

SLOTS = 8
"""Calls under way at once, of one surface."""
POLL_SECONDS = 5.0
"""A hint may be lost: the table is the truth."""
IDLE_SECONDS_MIN = 0.02
AGE_SECONDS = 5.0
"""Between two looks at how long the oldest reply has waited."""


class Outbox:
    """Sends the replies of the surfaces that this installation has."""

    def __init__(
        self,
        database: Database,
        surfaces: Mapping[str, ChatPort],
        *,
        sender: str,
        listener: Listener | None = None,
        lease_seconds: float = LEASE_SECONDS,
        send_seconds: float = SEND_SECONDS,
        live_seconds: float = LIVE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        slots: int = SLOTS,
    ) -> None:
        """`surfaces` by the names that threads carry; replies of others are left alone.

        :param sender: names this process, for people; each take has a name of its own
        :param listener: brings the OUTBOX hints; without one it polls
        """
        times = Times(lease_seconds=lease_seconds, send_seconds=send_seconds)
        self._senders = [
            _Sender(
                name,
                Outgoing(database, name, port, sender=sender, times=times),
                port,
                live_seconds=live_seconds,
                poll_seconds=poll_seconds,
                slots=slots,
            )
            for name, port in surfaces.items()
        ]
        self._listener = listener

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`, then end what is under way, at the latest by its deadline."""
        off = self._listener.on(OUTBOX, self._hear) if self._listener else None
        try:
            async with asyncio.TaskGroup() as group:
                for sender in self._senders:
                    group.create_task(sender.run(stop))
        finally:
            if off is not None:
                off()

    async def once(self) -> int:
        """Send everything that is due now; how many replies were taken."""
        return sum(await asyncio.gather(*(sender.drain() for sender in self._senders)))

    def _hear(self, _payload: str) -> None:
        for sender in self._senders:
            sender.look.set()


class _Sender:
    """The sender of one surface: a slow one keeps no other waiting."""

    def __init__(
        self,
        surface: str,
        rows: Outgoing,
        port: ChatPort,
        *,
        live_seconds: float,
        poll_seconds: float,
        slots: int,
    ) -> None:
        self._rows = rows
        self._posting = Posting(rows, port, live_seconds=live_seconds)
        self._age = OUTBOX_AGE_SECONDS.labels(surface=surface)
        self._poll_seconds = poll_seconds
        self._slots = slots
        self.look = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        slots = asyncio.Semaphore(self._slots)
        async with asyncio.TaskGroup() as sends:
            sends.create_task(self._gauge(stop))
            while not stop.is_set():
                await slots.acquire()
                self.look.clear()
                taken, pause = await self._next()
                if isinstance(taken, Taken):
                    sends.create_task(self._send(taken, slots))
                    continue
                slots.release()
                if taken is None:
                    await first_of(stop, self.look, seconds_max=pause)

    async def _gauge(self, stop: asyncio.Event) -> None:
        """Say how long the oldest reply waits, also while every slot is taken."""
        while not stop.is_set():
            try:
                self._age.set(await self._rows.age_seconds())
            except Exception as error:
                if not is_away(error):
                    log.exception("outbox_age_unknown")
            await first_of(stop, seconds_max=AGE_SECONDS)

    async def drain(self) -> int:
        count = 0
        while True:
            batch: list[Taken] = []
            while len(batch) < self._slots and (taken := await self._rows.take()):
                if taken != "postponed":
                    batch.append(taken)
            if not batch:
                return count
            await asyncio.gather(*(self._posting.handle(taken) for taken in batch))
            count += len(batch)

    async def _next(self) -> tuple[Taken | str | None, float]:
        """What to send next; None: nothing for so many seconds."""
        try:
            taken = await self._rows.take()
            due = await self._rows.next_due_seconds() if taken is None else 0.0
        except Exception as error:
            if is_away(error):
                log.warning("outbox_waits_for_database", error=str(error))
            else:
                log.exception("outbox_failed")
            return None, RETRY_SECONDS
        if due is None:
            return taken, self._poll_seconds
        return taken, min(self._poll_seconds, max(IDLE_SECONDS_MIN, due))

    async def _send(self, taken: Taken, slots: asyncio.Semaphore) -> None:
        try:
            await self._posting.handle(taken)
        finally:
            slots.release()
            self.look.set()
