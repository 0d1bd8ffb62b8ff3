"""What is left of times that have passed, forgotten on a clock.

The buttons below a post work for as long as its reminder is kept. Who deletes a person, a project
or a session deletes reminders with it: their schedules are due for nobody any more.
"""

from sqlalchemy import text

from bot.store.transaction import Transaction

KEPT_DAYS = 30
"""Of firings that are over, and of reminders that are due no more."""
FORGOTTEN_MAX = 5_000
"""Rows that one transaction removes."""
_FIRINGS = text(
    """
    DELETE FROM firing
     WHERE id IN (SELECT id FROM firing
                   WHERE state <> 'due'
                     AND coalesce(ended_at, fired_at) < now() - make_interval(days => :days)
                   LIMIT :most)
    """
)
_REMINDERS = text(
    """
    DELETE FROM schedule
     WHERE id IN (SELECT schedule.id
                    FROM schedule JOIN reminder ON reminder.schedule_id = schedule.id
                   WHERE schedule.state = 'ended'
                     AND schedule.created_at < now() - make_interval(days => :days)
                     AND NOT EXISTS (SELECT FROM firing WHERE schedule_id = schedule.id)
                     AND NOT EXISTS (SELECT FROM reminder AS again
                                      WHERE again.snoozed_id = reminder.id)
                   LIMIT :most)
    """
)
"""One that was put off goes after what it was put off to."""
_NOBODY_S = text(
    """
    DELETE FROM schedule
     WHERE id IN (SELECT id FROM schedule
                   WHERE NOT EXISTS (SELECT FROM reminder WHERE schedule_id = schedule.id)
                     AND NOT EXISTS (SELECT FROM automation_trigger
                                      WHERE schedule_id = schedule.id)
                   LIMIT :most)
    """
)


async def forget(tx: Transaction) -> None:
    """Remove them."""
    most = {"most": FORGOTTEN_MAX}
    await tx.execute(_FIRINGS, {**most, "days": KEPT_DAYS})
    await tx.execute(_REMINDERS, {**most, "days": KEPT_DAYS})
    await tx.execute(_NOBODY_S, most)
