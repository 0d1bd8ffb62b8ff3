"""The rows of the outbox: take the one that goes next, store what became of it.

Each is one short transaction. A take needs the token that its call will use up; a store shows the
name under which the row was taken and changes nothing when it was taken by another since.
"""

import asyncio
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import structlog

from adapters.chat.port import (
    AfterUncertain,
    Button,
    ChatPort,
    Deadline,
    Document,
    Live,
    Method,
    Picture,
    Rate,
)
from bot.conversation import budget, refusals
from bot.conversation.attempt import METHODS, Action, Progress, next_action
from bot.metrics import REPLIES
from bot.store.database import Database, may_pass
from bot.store.statements import load
from bot.store.transaction import Transaction
from bot.words.catalogue import nearest
from bot.words.plain import settled

log = structlog.get_logger(__name__)

SQL = load(Path(__file__).parent / "sql" / "outbox.sql")

LEASE_SECONDS = 20.0
"""For which a reply is taken."""
SEND_SECONDS = 10.0
"""For which a call may last, counted from before the reply was taken."""
RETRY_SECONDS = 1.0
SET: Mapping[str, Method] = {"reaction": "react", "title": "title", "phase": "phase"}
"""Kinds of replies that are no posts but set something, and what doing that takes a token for."""
WINDOW = 32
"""Replies that are looked at for one that no other sender is just taking."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a sender holds what it takes."""

    lease_seconds: float = LEASE_SECONDS
    send_seconds: float = SEND_SECONDS

    def __post_init__(self) -> None:
        if self.send_seconds >= self.lease_seconds:
            raise ValueError(
                f"send_seconds {self.send_seconds:g} >= lease_seconds {self.lease_seconds:g}"
            )


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A reply in our hands until its deadline."""

    id: UUID
    sender: str
    """The name of this take; no other has it."""
    place: str
    kind: str
    key: str
    body: str
    buttons: tuple[Button, ...]
    notify: str
    live: Live | None
    title: str
    """What its session is called."""
    language: str
    """The shipped locale of the body."""
    wording: int
    ref: str | None
    progress: Progress
    action: Action
    deadline: Deadline

    @property
    def mark(self) -> str:
        """By which the surface finds the post again."""
        return str(self.id)


class Outgoing:
    """The outbox's rows of one surface, as one sender process sees them."""

    def __init__(
        self, database: Database, surface: str, port: ChatPort, *, sender: str, times: Times
    ) -> None:
        """`surface` as threads carry it; `sender` names this process, for people."""
        self._database = database
        self._surface = surface
        self._port = port
        self._sender = sender
        self.times = times

    async def take(self) -> Taken | Literal["postponed"] | None:
        """Take the reply that goes next; postponed: it must wait for a token; None: none is due."""
        deadline = Deadline.after(self.times.send_seconds)
        async with self._database.begin() as tx:
            row = (
                await tx.execute(SQL["due"], {"surface": self._surface, "window": WINDOW})
            ).one_or_none()
            if row is None:
                return None
            progress = _progress(row)
            again = math.inf if row.kind in SET else self._port.limits.again_seconds
            action = next_action(progress, self.after_uncertain(row.kind), again_seconds=again)
            method = method_of(row.kind, action)
            wait = await self._spend(tx, row.place, method, final=row.final)
            if wait > 0:
                # The thread that asked comes back first, the others spread out behind it.
                wait *= 1 if row.asked else 1 + random.random() / 4
                await tx.execute(SQL["postpone"], {"id": row.id, "seconds": wait})
                REPLIES.labels(result="postponed").inc()
                return "postponed"
            sender = f"{self._sender}/{uuid4().hex[:12]}"
            hold = {"id": row.id, "sender": sender, "lease_seconds": self.times.lease_seconds}
            await tx.execute(SQL["take"], hold)
        return Taken(
            id=row.id,
            sender=sender,
            place=row.place,
            kind=row.kind,
            key=row.key,
            body=row.body,
            buttons=tuple(Button(**button) for button in row.buttons),
            notify=row.notify,
            live=Live(row.live) if row.live else None,
            title=settled(row.title),
            language=nearest(row.language),
            wording=row.wording,
            ref=row.posted_ref,
            progress=replace(progress, attempts=progress.attempts + 1),
            action=action,
            deadline=deadline,
        )

    async def picture(self, picture_id: UUID) -> Picture | None:
        """The picture beside a reply; None: it is gone."""
        row = (await self._database.run(SQL["picture"], {"id": picture_id})).one_or_none()
        if row is None:
            return None
        return Picture(data=bytes(row.data), media_type=row.media_type, about=row.caption)

    async def diff(self, diff_id: UUID) -> Document | None:
        """What a turn changed, which stands beside a reply; None: it is gone."""
        row = (await self._database.run(SQL["diff"], {"id": diff_id})).one_or_none()
        return None if row is None else Document(name=row.name, data=bytes(row.data))

    async def spend(self, taken: Taken, action: Action) -> float:
        """Take a token for another call about a taken reply; else how many seconds to wait."""
        async with self._database.begin() as tx:
            method = method_of(taken.kind, action)
            return await self._spend(tx, taken.place, method, final=taken.progress.final)

    def after_uncertain(self, kind: str) -> AfterUncertain:
        """What keeps a reply of this kind from being posted twice; what is set can be set again."""
        if kind in SET:
            return AfterUncertain.POST_AGAIN
        return self._port.limits.after_uncertain

    async def drain_bucket(self, place: str, method: Method, *, seconds: float) -> None:
        """Let everybody who shares the budget wait as long as the surface said."""
        rate = self._port.limits.rates.get(method)
        if rate is None:
            return
        tokens = budget.throttled(retry_seconds=seconds, per_second=rate.per_second)
        async with self._database.begin() as tx:
            await tx.execute(SQL["fill_bucket"], {**self._bucket(place, method), "tokens": tokens})

    async def store(
        self, name: str, taken: Taken, result: str, *, tell: bool = False, **values: Any
    ) -> None:
        """Store what became of it if it is still ours; waits for a database that is away.

        :param tell: it failed, which its session must know
        """
        until = Deadline(taken.deadline.at - self.times.send_seconds + self.times.lease_seconds)
        while True:
            try:
                async with self._database.begin() as tx:
                    ours = {"id": taken.id, "sender": taken.sender}
                    row = {**ours, **values, "tell": tell}
                    stored = (await tx.execute(SQL[name], row)).one_or_none()
                    if tell and stored is not None:
                        await refusals.tell(tx, taken.id, values["error"])
                break
            except Exception as error:
                if not may_pass(error) or until.left_seconds <= RETRY_SECONDS:
                    raise
            await asyncio.sleep(RETRY_SECONDS)
        REPLIES.labels(result=result if stored else "lost").inc()
        if stored is None:
            log.warning("reply_lost", reply=taken.mark, sender=taken.sender)

    async def next_due_seconds(self) -> float | None:
        """Seconds until something can be sent on the surface; None when nothing is in sight."""
        async with self._database.begin() as tx:
            due = (await tx.execute(SQL["next_due"], {"surface": self._surface})).scalar_one()
        return None if due is None else float(due)

    async def age_seconds(self) -> float:
        """For how long the oldest reply of the surface has waited; 0 when none waits."""
        async with self._database.begin() as tx:
            return float((await tx.execute(SQL["age"], {"surface": self._surface})).scalar_one())

    async def _spend(
        self, tx: Transaction, place: str, method: Method | None, *, final: bool
    ) -> float:
        rate = self._port.limits.rates.get(method) if method else None
        if method is None or rate is None:
            return 0.0
        bucket = self._bucket(place, method)
        await tx.execute(SQL["open_bucket"], {**bucket, "tokens": rate.burst})
        held = (await tx.execute(SQL["lock_bucket"], bucket)).mappings().one()
        decided = budget.decide(_filled(dict(held), rate), final=final, rate=rate)
        await tx.execute(SQL["fill_bucket"], {**bucket, "tokens": decided.tokens})
        if isinstance(decided, budget.Wait):
            return decided.seconds
        return 0.0

    def _bucket(self, place: str, method: Method) -> dict[str, Any]:
        """Whose tokens: one method of one installation of one surface."""
        try:
            installation = self._port.installation(place)
        except Exception:
            # The call will fail too, and is given up in time; others must not wait for it.
            log.exception("place_unreadable", surface=self._surface, place=place)
            installation = ""
        account = (self._surface, installation)
        return {"surface": ":".join(part for part in account if part), "method": method}


def method_of(kind: str, action: Action) -> Method | None:
    """What a call for a reply of this kind takes a token for; None: it is no call."""
    method = METHODS.get(action)
    return SET.get(kind, method) if method else None


def _filled(held: Mapping[str, Any], rate: Rate) -> float:
    return budget.filled(held["tokens"], elapsed_seconds=float(held["elapsed_seconds"]), rate=rate)


def _progress(row: Any) -> Progress:
    return Progress(
        live=row.kind == "live",
        final=row.final,
        posted=row.posted_ref is not None,
        unfinished=row.unfinished,
        attempts=row.attempts,
        muted=row.muted,
        tried_seconds=float(row.tried_seconds or 0.0),
    )
