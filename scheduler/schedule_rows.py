"""The rows of schedules, as whoever sets one writes them; `due_rows` has what the clock does."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from scheduler.leader import Tx
from scheduler.rules import kept
from scheduler.schedule import Schedule, acted_on_at

_ADD = text(
    """
    INSERT INTO schedule (id, rule, zone, starts_at, ends_at, jitter_seconds, misfire, state, why,
                          due_at, fire_at)
    VALUES (:id, CAST(:rule AS jsonb), :zone, :starts_at, :ends_at, :jitter_seconds, :misfire,
            :state, :why, :due, :fire)
    """
)
_CHANGE = text(
    """
    UPDATE schedule
       SET rule = CAST(:rule AS jsonb), zone = :zone, starts_at = :starts_at, ends_at = :ends_at
     WHERE id = :id
    """
)
_START = text(
    """
    UPDATE schedule SET state = :state, why = :why, due_at = :due, fire_at = :fire WHERE id = :id
    """
)
_PAUSE = text(
    """
    UPDATE schedule SET state = 'paused', why = :why, due_at = NULL, fire_at = NULL
     WHERE id = :id AND state <> 'ended'
    """
)


async def add(
    tx: Tx, schedule_id: UUID, schedule: Schedule, now: datetime, *, paused: str = ""
) -> None:
    """Keep a schedule that is due from now on.

    :param paused: why it is not yet; empty: it is
    """
    begins = {"state": "paused", "why": paused, "due": None, "fire": None}
    if not paused:
        begins = _begins(schedule, schedule_id, now)
    rest = {"jitter_seconds": schedule.jitter_seconds, "misfire": schedule.misfire}
    await tx.execute(_ADD, {"id": schedule_id, **_when(schedule), **rest, **begins})


async def change(tx: Tx, schedule_id: UUID, schedule: Schedule) -> None:
    """Let it be due at other times, from when it is started again."""
    await tx.execute(_CHANGE, {"id": schedule_id, **_when(schedule)})


async def start(tx: Tx, schedule_id: UUID, schedule: Schedule, now: datetime) -> None:
    """Let it be due from now on; one whose time has passed is over."""
    await tx.execute(_START, {"id": schedule_id, **_begins(schedule, schedule_id, now)})


async def pause(tx: Tx, schedule_id: UUID, why: str) -> None:
    """Let it not be due until it is started again; one that is over is not anyway."""
    await tx.execute(_PAUSE, {"id": schedule_id, "why": why})


def _when(schedule: Schedule) -> dict[str, Any]:
    return {
        "rule": json.dumps(kept(schedule.rule)),
        "zone": schedule.zone,
        "starts_at": schedule.starts_at,
        "ends_at": schedule.ends_at,
    }


def _begins(schedule: Schedule, key: UUID, now: datetime) -> dict[str, Any]:
    due = schedule.next_after(now)
    fire = acted_on_at(schedule, key, due) if due else None
    return {"state": "active" if due else "ended", "why": "", "due": due, "fire": fire}
