"""Looks whether a running turn has come to one of its bounds, and tells what it has cost.

It acts for the holder of the session's lease. What it decides by is in rows: charges, the request
that no budget bore, questions and their answers, the events of the turn. `bot.work.bounds` decides.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import LimitReached
from bot.govern import budget_refusals
from bot.words.amounts import MICRO
from bot.words.catalogue import gettext as _
from bot.words.catalogue import of_error
from bot.work import bounds, questions
from bot.work.asked import TOOL, Question
from bot.work.bounds import SessionLimits, Used
from bot.work.circles import Circle, Circles
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event, append_held
from bot.work.watching import Cancelled
from bot.work.work_queue import WorkQueue

TOLD_MICRO = MICRO // 100
"""Threads are told of a turn's cost when it has grown by so much."""
REREAD_MAX = 2_000
"""Events of a turn that who takes it over reads again to see whether it goes in circles."""

_USED = text(
    """
    SELECT count(*) AS turns, coalesce(sum(ran_seconds), 0) AS seconds
      FROM turn WHERE session_id = :session AND id IS DISTINCT FROM CAST(:turn AS uuid)
    """
)
_STANDING = text(
    """
    SELECT session.creator_id,
           (SELECT coalesce(sum(cost_micro), 0) FROM charge
             WHERE turn_id = :turn AND state <> 'reserved') AS cost_micro,
           EXISTS (SELECT FROM budget_refusal WHERE turn_id = :turn) AS refused,
           EXISTS (SELECT FROM question
                    WHERE turn_id = :turn AND state = 'open'
                      AND starts_with(asked_key, :tool)) AS asks
      FROM session WHERE session.id = :session
    """
)
_DONE = text(
    """
    SELECT kind, body FROM turn_event
     WHERE session_id = :session AND turn_id = :turn AND kind IN ('tool', 'text')
       AND number > coalesce((
           SELECT max(event.number) FROM turn_event AS event
             JOIN question ON CAST(question.id AS text) = event.body ->> 'question'
            WHERE event.session_id = :session AND event.kind = 'question.answered'
              AND question.turn_id = :turn AND question.asked_key = :circle), 0)
     ORDER BY number DESC LIMIT :most
    """
)


class Bounded:
    """The bounds of one turn under one lease."""

    def __init__(self, queue: WorkQueue, lease: Lease, limits: SessionLimits) -> None:
        self._database = queue.database
        self._lease = lease
        self._limits = limits
        self._circles = Circles(limits.repeats_max)
        self._circle: Circle | None = None
        self._ended: Cancelled | None = None
        self._seconds_before: float | None = None
        """Of the session's other turns."""
        self._told_micro = 0
        self._turn_id: UUID | None = None

    async def check_session(self) -> None:
        """:raises LimitReached: the session has had all that it may"""
        used = await self._used(None)
        self._seconds_before = used.seconds
        over = bounds.over_session(used, self._limits)
        if over is not None:
            raise LimitReached(
                over,
                kept=_("nothing was run; its files and its conversation are kept"),
                do=_("`new: …` begins another session"),
            )

    async def begin(self, turn: OpenTurn) -> None:
        """Learn what the turn did before this holder of the lease."""
        self._turn_id = turn.id
        if self._seconds_before is None:
            self._seconds_before = (await self._used(turn.id)).seconds
        if not turn.batches:
            return
        values = {
            "session": self._lease.session_id,
            "turn": turn.id,
            "circle": bounds.CIRCLE,
            "most": REREAD_MAX,
        }
        async with self._database.begin() as tx:
            self._ended = bounds.of_answer(await questions.of_turn(tx, turn.id))
            done = (await tx.execute(_DONE, values)).all()
        for row in reversed(done):
            self._see(row.kind, row.body)

    def saw(self, event: Event) -> None:
        """Look at the next event of the turn."""
        self._see(event.kind, event.body)

    async def due(self) -> Question | Cancelled | None:
        """What to do now: ask, end the turn, or nothing. :raises LeaseLost:"""
        if self._turn_id is None or self._lease.clock is None:
            return None
        if self._ended is not None:
            return self._ended
        ran = (self._seconds_before or 0) + self._lease.clock.ran_seconds
        if ran >= self._limits.seconds_max:
            return bounds.at_session_limit(self._limits.seconds_max)
        standing = await self._standing(self._turn_id)
        if standing is None:
            return None
        await self._tell(int(standing.cost_micro))
        if not standing.refused and not standing.asks and self._circle is None:
            return None
        async with self._database.begin() as tx:
            refusal = await budget_refusals.of_turn(tx, self._turn_id)
            asked = await questions.of_turn(tx, self._turn_id)
        return (
            bounds.of_money(refusal, asked, {standing.creator_id})
            or bounds.of_circle(self._circle, asked)
            or bounds.of_tool(asked)
        )

    async def over_budget(self) -> str | None:
        """Why the turn could spend no more on models; None: nothing was refused to it."""
        if self._turn_id is None:
            return None
        standing = await self._standing(self._turn_id)
        if standing is None or not standing.refused:
            return None
        async with self._database.begin() as tx:
            refusal = await budget_refusals.of_turn(tx, self._turn_id)
        return of_error(refusal.error) if refusal is not None else None

    async def cost_micro(self, turn_id: UUID) -> int:
        """What models cost in a turn until now, in micro-dollars."""
        standing = await self._standing(turn_id)
        return int(standing.cost_micro) if standing is not None else 0

    async def _standing(self, turn_id: UUID) -> Any:
        """Its {creator_id, cost_micro, refused, asks}; None: the session is gone."""
        where = {"session": self._lease.session_id, "turn": turn_id, "tool": TOOL}
        return (await self._database.run(_STANDING, where)).one_or_none()

    def _see(self, kind: str, body: Mapping[str, Any]) -> None:
        self._circle = self._circle or self._circles.see(kind, body)

    async def _used(self, turn_id: UUID | None) -> Used:
        where = {"session": self._lease.session_id, "turn": turn_id}
        row = (await self._database.run(_USED, where)).one()
        return Used(turns=row.turns, seconds=float(row.seconds))

    async def _tell(self, micro: int) -> None:
        if micro < self._told_micro + TOLD_MICRO:
            return
        async with self._database.begin() as tx:
            event = Event(kind="cost", body={"micro": micro})
            await append_held(tx, self._lease.key, [event], turn_id=self._turn_id)
        self._told_micro = micro
