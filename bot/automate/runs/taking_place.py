"""What a new run does in the transaction that makes it: its events are its own, older runs go.

Whoever is killed right after that transaction leaves nothing of it undone.
"""

from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Definition
from bot.store.database import RUNS
from bot.store.transaction import Transaction

_TAKEN = text(
    """
    UPDATE trigger_event SET state = 'taken', why = '', run_id = :run, held_until = NULL
     WHERE id = :event AND state = 'waiting'
    """
)
_COALESCED = text("UPDATE trigger_event SET run_id = :run WHERE into_id = :event")
_CANCEL = text(
    """
    UPDATE run SET stop_why = 'cancelled', look_at = clock_timestamp()
      FROM run AS newer
     WHERE newer.id = :run AND run.automation_id = newer.automation_id AND run.id <> newer.id
       AND run.settled_at IS NULL AND run.stop_why = ''
       AND coalesce((SELECT about FROM trigger_event
                      WHERE run_id = run.id AND state = 'taken' LIMIT 1), '')
           = (SELECT about FROM trigger_event WHERE id = :event)
    RETURNING run.id
    """
)


async def take_place(tx: Transaction, run_id: UUID, event_id: UUID, definition: Definition) -> None:
    """Make the event a run's, with those that it stands for; older runs about the same make way
    where the automation says so.
    """
    event = {"run": run_id, "event": event_id}
    await tx.execute(_TAKEN, event)
    await tx.execute(_COALESCED, event)
    if definition.overlap == "cancel":
        for one in await tx.execute(_CANCEL, event):
            tx.hint(RUNS, one.id)
