"""A reminder that is said once more, later: one of its own, whatever becomes of the first."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from bot.automate.reminders import reminder_rows
from bot.automate.reminders.reminder_rows import New
from bot.automate.reminders.silencing import Target
from bot.store.transaction import Transaction
from scheduler.rules import Once
from scheduler.schedule import Schedule
from scheduler.when import Reading

_BEFORE = text(
    """
    SELECT reminder.id FROM reminder JOIN schedule ON schedule.id = reminder.schedule_id
     WHERE reminder.snoozed_id = :reminder AND reminder.targets = CAST(:targets AS jsonb)
       AND schedule.state <> 'ended'
    """
)


async def put_off(
    tx: Transaction, row: Any, reading: Reading, at: datetime, targets: Sequence[Target]
) -> str:
    """Say it once more at `at`, instead of when the same were to hear it again before.

    :param targets: for whom and where
    :returns: its short id
    :raises Refused: its creator has too many
    """
    before = {"reminder": row.id, "targets": json.dumps([dict(one) for one in targets])}
    for one in (await tx.execute(_BEFORE, before)).all():
        await reminder_rows.delete(tx, one)
    again = New(
        creator_id=row.creator_id,
        project_id=row.project_id,
        session_id=row.session_id,
        thread_id=row.thread_id,
        schedule=Schedule(rule=Once(at=at), zone=reading.schedule.zone),
        said=reading.said,
        what=row.what,
        targets=tuple(dict(one) for one in targets),
        language=row.language,
        quiet=row.quiet,
        is_prompt=row.is_prompt,
        by_agent=row.by_agent,
        snoozed_id=row.id,
        is_confirmed=True,
    )
    return await reminder_rows.add(tx, again)
