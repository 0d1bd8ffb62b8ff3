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
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import structlog

from adapters.chat.port import (
    ChatPort,
    Gone,
    Method,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
)
from bot.conversation.attempt import REASONS, Action, backoff_seconds, next_action
from bot.conversation.fences import compose
from bot.conversation.outgoing import (
    LEASE_SECONDS,
    RETRY_SECONDS,
    SEND_SECONDS,
    Outgoing,
    Taken,
    Times,
)
from bot.conversation.replies import LIVE_SECONDS, manner_of
from bot.conversation.waits import first_of
from bot.store.database import OUTBOX, Database, Listener, is_away

log = structlog.get_logger(__name__)

SLOTS = 8
"""Calls under way at once, of one surface."""
POLL_SECONDS = 5.0
"""A hint may be lost: the table is the truth."""
IDLE_SECONDS_MIN = 0.02
ERROR_LENGTH_MAX = 300


@dataclass(frozen=True, kw_only=True)
class _Called:
    """How a call ended; when it was not answered, that is stored already."""

    answered: bool
    ref: str | None = None


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
        rows: Outgoing,
        port: ChatPort,
        *,
        live_seconds: float,
        poll_seconds: float,
        slots: int,
    ) -> None:
        self._rows = rows
        self._port = port
        self._manner = manner_of(port)
        self._live_seconds = live_seconds
        self._poll_seconds = poll_seconds
        self._slots = slots
        self.look = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        slots = asyncio.Semaphore(self._slots)
        async with asyncio.TaskGroup() as sends:
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

    async def drain(self) -> int:
        count = 0
        while True:
            batch: list[Taken] = []
            while len(batch) < self._slots and (taken := await self._rows.take()):
                if taken != "postponed":
                    batch.append(taken)
            if not batch:
                return count
            await asyncio.gather(*(self._handle(taken) for taken in batch))
            count += len(batch)

    async def _next(self) -> tuple[Taken | str | None, float]:
        """What to send next; None: nothing for so many seconds."""
        try:
            taken = await self._rows.take()
            due = await self._rows.next_due_seconds() if taken is None else 0.0
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("outbox_waits_for_database", error=str(error))
            return None, RETRY_SECONDS
        if due is None:
            return taken, self._poll_seconds
        return taken, min(self._poll_seconds, max(IDLE_SECONDS_MIN, due))

    async def _send(self, taken: Taken, slots: asyncio.Semaphore) -> None:
        try:
            await self._handle(taken)
        finally:
            slots.release()
            self.look.set()

    async def _handle(self, taken: Taken) -> None:
        """Act on a taken reply and store what became of it."""
        try:
            if taken.action is Action.LOOK_UP:
                await self._look_up(taken)
            elif taken.action in {Action.POST, Action.EDIT}:
                await self._speak(taken)
            else:
                await self._fail(taken, REASONS[taken.action], result=taken.action.value)
        except Exception:
            # It stays `sending`: after its time it is looked up, by anybody.
            log.exception("reply_left_unfinished", reply=taken.mark)

    async def _look_up(self, taken: Taken) -> None:
        """Find out what became of the attempt before; post only if there is certainly nothing."""
        called = await self._call(taken, "find")
        if not called.answered:
            return
        if called.ref is not None:
            await self._found(taken, called.ref)
            return
        certain = replace(taken.standing, unfinished=False)
        action = next_action(certain, self._port.limits.after_uncertain)
        if action is not Action.POST:
            await self._fail(taken, REASONS[action], result=action.value)
            return
        wait = await self._rows.spend(taken, action)
        if wait > 0 or taken.deadline.left_seconds < self._rows.times.send_seconds / 4:
            await self._unsent(taken, "not found", seconds=wait, counts=False)
            return
        await self._speak(replace(taken, action=action))

    async def _found(self, taken: Taken, ref: str) -> None:
        if taken.wording == 1:
            # It never had another wording, so this is the one that stands there.
            await self._sent(taken, ref, result="found")
        else:
            await self._rows.store("store_found", taken, "found", ref=ref)

    async def _speak(self, taken: Taken) -> None:
        method: Method = "edit" if taken.action is Action.EDIT else "post"
        called = await self._call(taken, method)
        if called.answered:
            await self._sent(taken, called.ref or taken.mark, result=f"{method}ed")

    async def _call(self, taken: Taken, method: Method) -> _Called:
        """Make one call under the deadline; any failure of it is stored here."""
        try:
            async with asyncio.timeout(max(0.0, taken.deadline.left_seconds)):
                return _Called(answered=True, ref=await self._ask(taken, method))
        except Throttled as error:
            await self._throttled(taken, method, error)
        except (Gone, Rejected) as error:
            await self._fail(taken, _said(error), result=type(error).__name__.lower())
        except TimeoutError:
            await self._back_off(taken, Uncertain("no answer in time"))
        except Exception as error:
            if not isinstance(error, Unavailable | Uncertain):
                log.exception("reply_failed", reply=taken.mark)
            await self._back_off(taken, error)
        return _Called(answered=False)

    async def _ask(self, taken: Taken, method: Method) -> str | None:
        if method == "find":
            return await self._port.find(taken.place, taken.mark, taken.deadline)
        text = compose(taken.body, self._manner)
        if method == "post":
            return await self._port.post(taken.place, text, taken.mark, taken.deadline)
        await self._port.edit(taken.place, taken.ref or "", text, taken.deadline)
        return taken.ref

    async def _back_off(self, taken: Taken, error: Exception) -> None:
        """Come back later; to a reply that may have been posted, only after its time."""
        seconds = backoff_seconds(taken.standing.attempts, chance=random.random())
        nothing_done = isinstance(error, Unavailable)
        if nothing_done and taken.action is not Action.LOOK_UP:
            await self._unsent(taken, "unavailable", seconds=seconds, error=_said(error))
            return
        await self._rows.store(
            "store_uncertain",
            taken,
            "unavailable" if nothing_done else "uncertain",
            error=_said(error),
            seconds=seconds,
        )

    async def _throttled(self, taken: Taken, method: Method, error: Throttled) -> None:
        """Honour the surface's word, for this reply and for all that share its budget."""
        seconds = max(0.0, error.retry_seconds) * (1 + random.random() / 10)
        await self._rows.drain_bucket(taken.place, method, seconds=seconds)
        if method == "find" or taken.action is Action.LOOK_UP:
            await self._rows.store(
                "store_uncertain", taken, "throttled", error=_said(error), seconds=seconds
            )
        else:
            await self._unsent(
                taken, "throttled", seconds=seconds, counts=False, error=_said(error)
            )

    async def _sent(self, taken: Taken, ref: str, *, result: str) -> None:
        values = {"wording": taken.wording, "ref": ref, "pause_seconds": self._live_seconds}
        await self._rows.store("store_sent", taken, result, **values)

    async def _unsent(
        self,
        taken: Taken,
        result: str,
        *,
        seconds: float,
        counts: bool = True,
        error: str | None = None,
    ) -> None:
        values = {"seconds": seconds, "counts": counts, "error": error}
        await self._rows.store("store_unsent", taken, result, **values)

    async def _fail(self, taken: Taken, why: str, *, result: str) -> None:
        log.info("reply_not_sent", reply=taken.mark, why=why)
        await self._rows.store("store_failed", taken, result, error=why[:ERROR_LENGTH_MAX])


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:ERROR_LENGTH_MAX].replace("\x00", "\ufffd")
