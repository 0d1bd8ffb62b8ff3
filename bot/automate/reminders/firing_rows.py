"""The rows of firings of reminders: what is to be said, waits, and has come to its end."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.automate.reminders import quiet
from bot.store.statements import load
from bot.store.transaction import Transaction
from scheduler.local import is_zone, zone_of

SQL = load(Path(__file__).parent / "sql" / "firings.sql")
GIVES_WAY_SECONDS = 2.0
"""Until one looks again that gives way; by then the other one has taken its place."""


async def waits(tx: Transaction, row: Any) -> bool:
    """Whether it waits for quiet hours to be over, or gives way to one that is due by then.

    What comes again and again in them is said once.
    """
    until = quiet_until(row)
    if until is None and row.why == "quiet" and row.comes_again:
        until = row.now + timedelta(seconds=GIVES_WAY_SECONDS)
    else:
        before = {"id": row.firing_id, "schedule": row.schedule_id, "due": row.fired_for}
        await tx.execute(SQL["passed_over"], before)
    if until is not None:
        await tx.execute(SQL["wait"], {"id": row.firing_id, "until": until, "why": "quiet"})
    return until is not None


async def holds(tx: Transaction, row: Any) -> bool:
    """Whether what its agent says waits for quiet hours to be over."""
    until = quiet_until(row)
    if until is not None:
        await tx.execute(SQL["wait"], {"id": row.firing_id, "until": until, "why": row.why})
    return until is not None


def quiet_until(row: Any) -> datetime | None:
    """Until when its quiet hours last; None: it has none now."""
    # Of a zone that is none any more there are no hours: that is told at once.
    return quiet.ends(row.quiet, row.now, zone_of(row.zone)) if is_zone(row.zone) else None


async def stands(tx: Transaction, firing_id: UUID) -> bool:
    """Whether it is still to be said; what was paused since it was due is not."""
    state = (await tx.execute(SQL["stands"], {"id": firing_id})).scalar_one_or_none()
    if state == "paused":
        await end(tx, firing_id, "skipped", "paused")
    return state not in {None, "paused"}


async def end(tx: Transaction, firing_id: UUID, state: str, why: str = "") -> None:
    """That is what became of it, unless it is known already."""
    await tx.execute(SQL["end"], {"id": firing_id, "state": state, "why": why})
