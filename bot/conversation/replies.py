"""The projector: a session's events become replies in each of its threads.

    events ─▶ take a thread with news (row lock) ─▶ its span ─▶ drafts (pure) ─▶ rows ─▶ advance

One transaction a span: the rows and `thread.replied_to` move together, so it can be killed at any
point and run in any number of processes. A row is told apart by thread and key, and its wording
counts up only when its body changes. Muted threads get their rows too: the page shows them, the
sender keeps quiet. A thread whose span fails waits, longer each time, and keeps no other waiting.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from adapters.chat.port import (
    ChatPort,
    HasTitles,
    Reacts,
    ShowsDocuments,
    ShowsMoments,
    ShowsPhases,
)
from bot.conversation import refusals
from bot.conversation.drafts import QUEUEING, TELLING, Draft, Signing, drafts
from bot.conversation.fences import Manner
from bot.conversation.render import WAITING_MAX, SeenEvent, Span, Waiting
from bot.store.database import EVENTS, OUTBOX, Database, Listener, is_away
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import SOURCE, localized, nearest, speaking, spoken
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "replies.sql")

LIVE_SECONDS = 2.0
"""Between two wordings of a live message; a turn that is over sooner has none."""
POLL_SECONDS = 1.0
"""A hint may be lost."""
GAP_SECONDS = 0.05
"""Between two looks, however many hints come."""
RETRY_SECONDS = 1.0
FAILED_SECONDS_MAX = 300.0
"""Longest pause of a thread whose span can't be written."""
TALK_MAX = 5_000
"""Events of a turn that has ended that are read back beside its output."""
LIVE_TALK_MAX = 200
"""The same of one that runs: a live message shows the end of what is said, again and again."""


def manner_of(port: ChatPort, pages: str = "") -> Manner:
    """What a surface bears, as texts are made for it.

    :param pages: address of our pages, where people reach them
    """
    length = port.limits.text_length_max
    if port.limits.live == "none":
        return Manner(
            text_length_max=length,
            escape=port.escape,
            dialect=port.dialect,
            live=False,
            output_length_max=length * 3 // 4,
            output_lines_max=length,
        )
    return Manner(
        text_length_max=length,
        escape=port.escape,
        dialect=port.dialect,
        reacts=isinstance(port, Reacts),
        titles=isinstance(port, HasTitles),
        phases=isinstance(port, ShowsPhases),
        absolute=isinstance(port, ShowsMoments),
        documents=isinstance(port, ShowsDocuments),
        pages=pages,
        in_place=port.limits.live == "post",
        output_length_max=min(3_000, length * 3 // 4),
    )


class Replies:
    """Writes the reply rows of the surfaces that this installation has."""

    def __init__(
        self,
        database: Database,
        surfaces: Mapping[str, ChatPort],
        *,
        listener: Listener | None = None,
        live_seconds: float = LIVE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        pages: str = "",
        language: str = SOURCE,
    ) -> None:
        """`surfaces` by the names that threads carry; threads of others are left alone.

        :param pages: address of our pages; without one no post leads to them
        :param language: the locale of threads and people of whom none is known
        :param listener: brings the EVENTS hints; without one it polls
        """
        self._database = database
        self._listener = listener
        self._manners = {name: manner_of(port, pages) for name, port in surfaces.items()}
        self._language = language
        self._live_seconds = live_seconds
        self._poll_seconds = poll_seconds
        self._hinted: set[UUID] = set()
        self._live: dict[UUID, float] = {}
        """When sessions are looked at again though no hint comes: what was too young to be shown
        live, when they were looked at last, is then due. On the loop's clock."""
        self._failed: dict[UUID, _Failed] = {}
        self._look = asyncio.Event()
        self._polled = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Write rows until `stop`; waits out whatever fails."""
        off = self._listener.on(EVENTS, self._hear) if self._listener else None
        try:
            while not stop.is_set():
                pause = await self._pass()
                gap = min(pause, GAP_SECONDS)
                await first_of(stop, seconds_max=gap)
                await first_of(stop, self._look, seconds_max=pause - gap)
                self._look.clear()
        finally:
            if off is not None:
                off()

    def _hear(self, payload: str) -> None:
        with suppress(ValueError):
            self._hinted.add(UUID(payload))
        self._look.set()

    async def _pass(self) -> float:
        """Look once, at all sessions or only at those hinted since; seconds until the next."""
        now = asyncio.get_running_loop().time()
        due = {one for one, at in self._live.items() if at <= now}
        hinted, self._hinted = self._hinted | due, set()
        whole = not hinted or now - self._polled >= self._poll_seconds
        if whole:
            self._polled = now
        try:
            await self.once(None if whole else hinted)
        except Exception as error:
            if is_away(error):
                log.warning("replies_wait_for_database", error=str(error))
            else:
                log.exception("replies_failed")
            return RETRY_SECONDS
        now = asyncio.get_running_loop().time()
        return min([self._poll_seconds, *(max(0.0, at - now) for at in self._live.values())])

    async def once(self, sessions: set[UUID] | None = None) -> int:
        """Write what is due now, of `sessions` or of all; how many spans were read."""
        count = 0
        while True:
            due = await self._due(sessions)
            written = sum([await self._attempt(row.id, row.replied_to) for row in due])
            if not written:
                # Nothing is due any more, or others have it.
                return count
            count += written

    async def _due(self, sessions: set[UUID] | None) -> Sequence[Any]:
        async with self._database.begin() as tx:
            rows = await tx.execute(
                SQL["due"],
                {
                    "surfaces": list(self._manners),
                    "sessions": None if sessions is None else list(sessions),
                    "live_seconds": self._live_seconds,
                    "telling": list(TELLING),
                    "queueing": list(QUEUEING),
                    "reacting": [name for name, one in self._manners.items() if one.reacts],
                },
            )
            return [row for row in self._noted(sessions, rows.all()) if not self._waits(row.id)]

    def _noted(self, sessions: set[UUID] | None, rows: Sequence[Any]) -> Sequence[Any]:
        """Those that are due now; when the others of the sessions looked at are, is kept."""
        for session_id in list(self._live) if sessions is None else sessions:
            self._live.pop(session_id, None)
        now = asyncio.get_running_loop().time()
        for row in rows:
            if row.in_seconds > 0:
                at = min(now + row.in_seconds, self._live.get(row.session_id, math.inf))
                self._live[row.session_id] = at
        return [row for row in rows if row.in_seconds <= 0]

    def _waits(self, thread_id: UUID) -> bool:
        failed = self._failed.get(thread_id)
        return failed is not None and asyncio.get_running_loop().time() < failed.until

    async def _attempt(self, thread_id: UUID, replied_to: int) -> bool:
        """Write the thread's next span, or let the thread wait when that fails."""
        try:
            written = await self._project(thread_id, replied_to)
        except Exception as error:
            if is_away(error):
                raise
            failed = _Failed.again(self._failed.get(thread_id), asyncio.get_running_loop().time())
            self._failed[thread_id] = failed
            log.exception(
                "thread_failed", thread=str(thread_id), after=replied_to, times=failed.times
            )
            return False
        self._failed.pop(thread_id, None)
        return written

    async def _project(self, thread_id: UUID, replied_to: int) -> bool:
        """Write the rows of the thread's next span; False: somebody else does."""
        async with self._database.begin() as tx:
            taking = {"thread": thread_id, "replied_to": replied_to}
            thread = (await tx.execute(SQL["take"], taking)).one_or_none()
            if thread is None or thread.surface not in self._manners:
                return False
            manner = self._manners[thread.surface]
            through, span = await _read(tx, thread, manner)
            reader = await _reader(tx, thread, span)
            language = nearest(reader.language, self._language)
            with speaking(language, reader.zone, absolute=manner.absolute):
                made = drafts(_localized(span), after=thread.replied_to, manner=manner)
                changed = await _write(tx, thread.id, made)
            await tx.execute(SQL["advance"], {"thread": thread.id, "through": through})
            if changed:
                tx.hint(OUTBOX)
        return True


@dataclass(frozen=True, kw_only=True)
class _Failed:
    """A thread whose span could not be written, so many times in a row."""

    times: int
    until: float
    """On the loop's clock."""

    @classmethod
    def again(cls, before: "_Failed | None", now: float) -> "_Failed":
        times = before.times + 1 if before else 1
        pause = min(RETRY_SECONDS * 2 ** min(times, 16), FAILED_SECONDS_MAX)
        return cls(times=times, until=now + pause)


async def _read(tx: Transaction, thread: Any, manner: Manner) -> tuple[int, Span]:
    where = {"session": thread.session_id, "after": thread.replied_to}
    bounds = (await tx.execute(SQL["bounds"], where)).one()
    rows = (
        await tx.execute(
            SQL["span"],
            {
                "session": thread.session_id,
                "start": bounds.start,
                "through": bounds.through,
                "telling": list(TELLING),
                "output_length": manner.output_length_max,
                "talk": TALK_MAX if bounds.ended else LIVE_TALK_MAX,
            },
        )
    ).all()
    events = [
        SeenEvent(number=row.number, kind=row.kind, body=row.body, turn_id=row.turn_id, at=row.at)
        for row in rows
        if refusals.is_for(thread.id, row.body)
    ]
    length = int(rows[0].output_length) if rows else 0
    span = Span(
        start=bounds.start,
        events=events,
        output_length=length,
        thread_id=str(thread.id),
        short=bounds.short,
        waiting=() if bounds.ended else await _waiting(tx, thread.session_id),
    )
    return bounds.through, span


async def _waiting(tx: Transaction, session_id: UUID) -> Sequence[Waiting]:
    """The prompts that go next, as far as they are named, and one more."""
    rows = await tx.execute(SQL["waiting"], {"session": session_id, "most": WAITING_MAX + 1})
    return [
        Waiting(name=row.name, place=place, thread_id=str(row.thread_id))
        for place, row in enumerate(rows, 1)
    ]


async def _reader(tx: Transaction, thread: Any, span: Span) -> Any:
    """Whose language and zone a thread's span is told in: {language, zone}.

    That of who asked for its turn, where it was asked for; else the language of the thread. Before
    the turn begins it is that of the prompt that goes next.
    """
    prompt = span.started.body.get("prompt") if span.started is not None else None
    asked = {"thread": thread.id, "session": thread.session_id, "prompt": prompt}
    return (await tx.execute(SQL["reader"], asked)).one()


def _localized(span: Span) -> Span:
    """With our sentences in its events said again, in the language of now."""
    events = [replace(one, body=localized(one.body)) for one in span.events]
    return replace(span, events=events)


async def _write(tx: Transaction, thread_id: UUID, made: Sequence[Draft | Signing]) -> bool:
    """Write the drafts in order; whether anything may be due now."""
    changed = False
    stood_for: set[str] = set()
    for draft in made:
        if isinstance(draft, Signing):
            signing = {"thread": thread_id, "about": draft.about, "sign": draft.sign}
            await tx.execute(SQL["sign"], signing)
            changed = True
            continue
        if draft.key in stood_for:
            continue
        if draft.amends and not await _amendable(tx, thread_id, draft):
            continue
        stood_for |= draft.stands_for
        await tx.execute(
            SQL["put"],
            {
                "id": new_id(),
                "thread": thread_id,
                "turn": draft.turn_id,
                "kind": draft.kind,
                "key": draft.key,
                "body": draft.body,
                "buttons": json.dumps([asdict(button) for button in draft.buttons]),
                "notify": draft.notify,
                "final": draft.final,
                "live": draft.live.value if draft.live else "",
                "language": spoken().locale,
            },
        )
        changed = True
    return changed


async def _amendable(tx: Transaction, thread_id: UUID, draft: Draft) -> bool:
    if draft.kind == "live":
        await tx.execute(SQL["drop_unsent"], {"thread": thread_id, "key": draft.key})
    wanted = {"thread": thread_id, "keys": [draft.key], "stands": bool(draft.stands_for)}
    known = await tx.execute(SQL["known"], wanted)
    return known.first() is not None
