"""Who is deactivated sets nothing off any more: what they set pauses, and its places are told.

Found by its rows, so that nothing is left out, whoever deactivated them and whatever ended then;
what is due before it is found pauses at that moment.
"""

from typing import Any, Protocol

import structlog
from sqlalchemy import text

from bot.automate import trigger_rows
from bot.automate.reminders import firing_rows, reminder_rows
from bot.automate.triggers import failing
from bot.store.database import Database, is_away
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks."""
_REMINDERS = text(
    """
    SELECT reminder.id, reminder.short, reminder.what, reminder.targets, reminder.thread_id,
           reminder.language, reminder.quiet, reminder.schedule_id, schedule.zone,
           person.deactivated_at, clock_timestamp() AS now
      FROM reminder JOIN schedule ON schedule.id = reminder.schedule_id
      JOIN person ON person.id = reminder.creator_id
     WHERE schedule.state = 'active' AND person.deactivated_at IS NOT NULL
       FOR UPDATE OF reminder, schedule SKIP LOCKED
    """
)
_AUTOMATIONS = text(
    """
    SELECT automation.id, automation.name
      FROM automation JOIN person
        ON person.id = coalesce(automation.runs_as_id, automation.approved_by,
                                automation.creator_id)
     WHERE automation.state = 'active' AND person.deactivated_at IS NOT NULL
       FOR UPDATE OF automation SKIP LOCKED
    """
)


class Ways(Protocol):
    """How it reaches people; see `bot.conversation.due`."""

    async def tell(self, tx: Transaction, row: Any, why: str, *, key: str = "") -> None:
        """Tell the places of a reminder that it is paused, once for each `key`."""
        ...


async def pause(database: Database, ways: Ways) -> None:
    """Pause everything of whoever is deactivated; any process may, and twice is once."""
    async with database.begin() as tx:
        for row in (await tx.execute(_REMINDERS)).all():
            try:
                async with tx.begin_nested():
                    await _reminder(tx, row, ways)
            except Exception as error:
                if is_away(error):
                    raise
                # One that can't be said must not keep the others; it fails when it is due.
                log.warning("reminder_not_paused", reminder=row.short, error=repr(error))
        for row in (await tx.execute(_AUTOMATIONS)).all():
            await failing.without_owner(tx, row.id, row.name, "runs_as")
            await trigger_rows.pause(tx, row.id)


async def _reminder(tx: Transaction, row: Any, ways: Ways) -> None:
    if firing_rows.quiet_until(row) is not None:
        return  # In its quiet hours it says nothing; a later look finds it.
    await reminder_rows.pause(tx, row, why="creator")
    await ways.tell(tx, row, "creator", key=f"left:{row.id}:{row.deactivated_at.isoformat()}")
