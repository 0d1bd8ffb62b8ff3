"""The rows of schedules and firings, as the clock reads and writes them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from scheduler.leader import Tx
from scheduler.rules import restored
from scheduler.schedule import Schedule, acted_on_at, decide

log = structlog.get_logger(__name__)

DECIDING_SECONDS_MAX = 1.0
"""After which the rest is left to another transaction: the database ends one that does not speak
for as long as a leader's lease, and hundreds of decisions take a while."""
AHEAD_MAX = 200
"""Moments that the timer is told of at once."""
UNREADABLE = "unreadable"
"""Why there is a firing of a schedule that was paused because no time follows from it any more:
whoever acts on it tells that."""
_NOW = text("SELECT clock_timestamp()")
_DUE = text(
    """
    SELECT id, rule, zone, starts_at, ends_at, jitter_seconds, misfire, grace_seconds, due_at
      FROM schedule
     WHERE state = 'active' AND fire_at <= CAST(:now AS timestamptz)
     ORDER BY fire_at LIMIT :limit FOR UPDATE
    """
)
_FIRE = text(
    """
    INSERT INTO firing (id, schedule_id, due_at, state, missed, why, fired_at)
    SELECT id, schedule_id, due_at, state, missed, why, clock_timestamp()
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
           AS one (id uuid, schedule_id uuid, due_at timestamptz, state text, missed integer,
                   why text)
    ON CONFLICT (schedule_id, due_at) DO NOTHING RETURNING id
    """
)
_MOVE = text(
    """
    UPDATE schedule
       SET due_at = one.due_at, fire_at = one.fire_at, state = one.state, why = one.why
      FROM jsonb_to_recordset(CAST(:rows AS jsonb))
           AS one (id uuid, due_at timestamptz, fire_at timestamptz, state text, why text)
     WHERE schedule.id = one.id
    """
)
_AHEAD = text(
    """
    SELECT DISTINCT to_timestamp(ceil(extract(epoch FROM fire_at) * 20) / 20) AS at
      FROM schedule
     WHERE state = 'active' AND fire_at <= CAST(:until AS timestamptz) ORDER BY at LIMIT :limit
    """
)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one transaction did."""

    more: bool
    """Others may be due as well."""
    fired: int
    """Firings that were written down."""


async def now(tx: Tx) -> datetime:
    """The time of the database."""
    found: datetime = (await tx.execute(_NOW, {})).scalar_one()
    return found


async def fire(tx: Tx, now: datetime, *, limit: int, new_id: Callable[[], UUID]) -> Batch:
    """Write a firing for each schedule that is due at `now`, and when it is due next."""
    rows = (await tx.execute(_DUE, {"now": now, "limit": limit})).all()
    firings: list[dict[str, Any]] = []
    moves: list[dict[str, Any]] = []
    began = monotonic()
    for row in rows:
        if firings and monotonic() - began > DECIDING_SECONDS_MAX:
            break
        try:
            fired, move = _decided(schedule_of(row), row, now)
        except Exception as error:
            # One that can't be read, or from which no time follows, must not stop the others.
            log.warning("schedule_paused", schedule=str(row.id), error=repr(error))
            fired = _firing(row, row.due_at, state="due", why=UNREADABLE)
            move = {"id": row.id, "state": "paused", "why": str(error)}
        firings.append({"id": new_id(), **fired})
        moves.append(move)
    written = (await tx.execute(_FIRE, {"rows": _json(firings)})).all() if firings else ()
    if moves:
        await tx.execute(_MOVE, {"rows": _json(moves)})
    more = len(rows) == limit or len(firings) < len(rows)
    return Batch(more=more, fired=len(written))


async def ahead(tx: Tx, until: datetime) -> Sequence[datetime]:
    """The moments until then at which something is due, to 50 ms, the first of them."""
    found = await tx.execute(_AHEAD, {"until": until, "limit": AHEAD_MAX})
    return [row.at for row in found.all()]


def schedule_of(row: Any) -> Schedule:
    """The schedule of a row. :raises ValueError: it can't be read"""
    return Schedule(
        rule=restored(row.rule),
        zone=row.zone,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        jitter_seconds=row.jitter_seconds,
        misfire=row.misfire,
        grace_seconds=row.grace_seconds,
    )


def _decided(schedule: Schedule, row: Any, now: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """The firing, and what becomes of the schedule."""
    decision = decide(schedule, row.due_at, now)
    state = "due" if decision.fires else "skipped"
    fired = _firing(row, decision.latest, state=state, missed=decision.missed)
    following = decision.next
    move = {
        "id": row.id,
        "due_at": following,
        "fire_at": acted_on_at(schedule, row.id, following) if following else None,
        "state": "active" if following else "ended",
        "why": "",
    }
    return fired, move


def _firing(
    row: Any, due_at: datetime | None, *, state: str, missed: int = 0, why: str = ""
) -> dict[str, Any]:
    known = {"schedule_id": row.id, "due_at": due_at, "state": state}
    return {**known, "missed": missed, "why": why}


def _json(rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps(
        rows, default=lambda one: one.isoformat() if hasattr(one, "isoformat") else str(one)
    )
