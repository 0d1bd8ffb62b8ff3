"""Due moments of automations' schedules become trigger events.

The event and the end of the firing are one transaction, so that neither is without the other. In
it each firing has a savepoint of its own: one that raises is put off, and the others don't wait for
it. They go on in the next transaction: what raised may have taken most of the time of this one.
"""

from typing import Any

import structlog
from sqlalchemy import text

from bot.automate.backing_off import back_off
from bot.automate.triggers import events, failing
from bot.automate.triggers.events import Event
from bot.automate.triggers.taking_decided import ATTEMPTS_MAX
from bot.store.database import is_away
from bot.store.transaction import Transaction
from scheduler.due_rows import UNREADABLE

log = structlog.get_logger(__name__)

BATCH = 100
"""Firings whose events are one transaction."""
_TAKE = text(
    """
    SELECT firing.id, firing.due_at, firing.missed, firing.why, firing.attempts,
           trigger.id AS trigger_id, trigger.kind, schedule.zone,
           automation.id AS automation_id, automation.name, automation.state,
           project.removed_at IS NULL AS project_there,
           coalesce(person.deactivated_at IS NULL AND person.id IS NOT NULL, false) AS has_owner
      FROM firing JOIN automation_trigger AS trigger ON trigger.schedule_id = firing.schedule_id
      JOIN schedule ON schedule.id = firing.schedule_id
      JOIN automation ON automation.id = trigger.automation_id
      JOIN project ON project.id = automation.project_id
      LEFT JOIN person ON person.id = coalesce(automation.runs_as_id, automation.approved_by,
                                               automation.creator_id)
     WHERE firing.state = 'due' AND firing.act_at <= clock_timestamp()
     ORDER BY firing.act_at, firing.id LIMIT :limit FOR UPDATE OF firing SKIP LOCKED
    """
)
_END = text(
    """
    UPDATE firing SET state = :state, why = :why, ended_at = clock_timestamp()
     WHERE id = ANY(:ids) AND state = 'due'
    """
)
_PUT_OFF = text(
    """
    UPDATE firing
       SET attempts = :attempts, act_at = clock_timestamp() + make_interval(secs => :seconds)
     WHERE id = :id AND state = 'due'
    """
)


async def take(tx: Transaction) -> int:
    """Make events of the firings that are due now; how many there were, at most BATCH."""
    rows = (await tx.execute(_TAKE, {"limit": BATCH})).all()
    ends: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        try:
            async with tx.begin_nested():
                end = await _taken(tx, row)
        except Exception as error:
            if is_away(error):
                raise
            put_off = await _put_off(tx, row, error)
            if put_off is not None:
                ends.setdefault(put_off, []).append(row.id)
            break
        ends.setdefault(end, []).append(row.id)
    for (state, why), ids in ends.items():
        await tx.execute(_END, {"state": state, "why": why, "ids": ids})
    return len(rows)


async def _taken(tx: Transaction, row: Any) -> tuple[str, str]:
    """What becomes of one firing: its state and why."""
    if row.state != "active":
        return "skipped", "paused"
    if not (row.has_owner and row.project_there):
        why = "runs_as" if row.project_there else "project"
        await failing.without_owner(tx, row.automation_id, row.name, why)
        return "skipped", why
    if row.why == UNREADABLE:
        await failing.without_time(tx, row.automation_id, row.name, row.zone)
        return "failed", "time"
    facts = {"due": row.due_at.isoformat(), "zone": row.zone, "missed": row.missed}
    event = Event(trigger_id=row.trigger_id, key=f"due/{row.due_at.isoformat()}", facts=facts)
    kept = await events.add(tx, event)
    return ("failed", "full") if kept is events.Added.FULL else ("done", "")


async def _put_off(tx: Transaction, row: Any, error: Exception) -> tuple[str, str] | None:
    """Try one that raised again, later each time; in the end its state and why, and it is said."""
    attempts, automation = row.attempts + 1, row.name
    log.warning("firing_put_off", automation=automation, error=repr(error), exc_info=attempts == 1)
    again = {"id": row.id, "attempts": attempts, "seconds": back_off(attempts)}
    await tx.execute(_PUT_OFF, again)
    if attempts < ATTEMPTS_MAX:
        return None
    log.error("firing_failed", automation=automation, error=repr(error))
    await failing.not_begun(tx, row.automation_id, automation)
    return "failed", "attempts"
