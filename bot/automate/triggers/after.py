"""What follows from a run's end: its failure counts, who waited for it acts, the next in line too.

`ended` is one of the endings of `bot.conversation.run_ways`.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.automate.definition import After, Outcome
from bot.automate.runs.tally import Counts, status_of
from bot.automate.triggers import events, failing
from bot.automate.triggers.events import CAUSED_BY, Event
from bot.store.database import TRIGGERS
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

LIMITS = frozenset({"time", "money"})
"""Why a run is stopped that its own limits end."""
_RUN = text(
    """
    SELECT run.id, run.short, run.name, run.automation_id, run.project_id, run.stop_why,
           project.repository_url,
           count(target.id) FILTER (WHERE target.state = 'done') AS done,
           count(target.id) FILTER (WHERE target.state = 'failed') AS failed,
           count(target.id) FILTER (WHERE target.state = 'stopped') AS stopped,
           count(target.id) FILTER (WHERE target.state = 'skipped') AS skipped,
           count(target.id) AS total, coalesce(sum(target.attempt), 0) AS attempts
      FROM run JOIN project ON project.id = run.project_id
      LEFT JOIN run_target AS target ON target.run_id = run.id
     WHERE run.id = :run GROUP BY run.id, project.repository_url
    """
)
_WAITING = text(
    """
    SELECT trigger.id, trigger.options
      FROM automation_trigger AS trigger
      JOIN automation ON automation.id = trigger.automation_id
     WHERE trigger.kind = 'after' AND automation.project_id = :project
       AND automation.state = 'active'
       AND trigger.options -> 'after' ->> 'automation' = :name
     ORDER BY trigger.id
    """
)
_GO_ON = text(
    """
    UPDATE trigger_event SET act_at = clock_timestamp()
     WHERE state = 'waiting' AND why = 'queued'
       AND trigger_id IN (SELECT id FROM automation_trigger WHERE automation_id = :automation)
    """
)


async def ended(tx: Transaction, run_id: UUID) -> None:
    """Count how a settled run ended, and let those act that waited for its end.

    A run that is settled again, because some of its targets were run again, has ended again.
    """
    row = (await tx.execute(_RUN, {"run": run_id})).one_or_none()
    if row is None or row.automation_id is None:
        return
    counts = Counts(done=row.done, failed=row.failed, stopped=row.stopped, skipped=row.skipped)
    how, failed = outcome(row.stop_why, counts), is_failure(row.stop_why, counts)
    if failed is not None:
        await failing.note(tx, row.automation_id, failed)
    await tx.execute(_GO_ON, {"automation": row.automation_id})
    tx.hint(TRIGGERS)
    asked = {"project": row.project_id, "name": row.name}
    waiting = (await tx.execute(_WAITING, asked)).all()
    for trigger in waiting:
        try:
            wanted = After.model_validate(trigger.options).after.outcomes
        except ValueError:
            # What another automation waits for must not keep this run from its end.
            log.warning("trigger_unreadable", trigger=str(trigger.id))
            continue
        if how in wanted:
            await events.put(tx, _event(trigger.id, row, how))


def outcome(stop_why: str, counts: Counts) -> Outcome:
    """How a run ended, for those that wait for its end; pure."""
    if stop_why or counts.stopped:
        return "stopped"
    came_to_nothing = status_of(counts, is_stopped=False) == "failed"
    return "failed" if counts.failed or came_to_nothing else "succeeded"


def is_failure(stop_why: str, counts: Counts) -> bool | None:
    """Whether a run counts as failed, because nothing came of it; None: neither way; pure.

    A limit of its own ends the next one as well. Where somebody ended it, nobody knows.
    """
    if stop_why:
        return True if stop_why in LIMITS and not counts.done else None
    status = status_of(counts, is_stopped=False)
    return None if status == "stopped" else status == "failed"


def _event(trigger_id: UUID, row: Any, how: Outcome) -> Event:
    facts: Mapping[str, Any] = {
        "automation": row.name,
        "run": row.short,
        "outcome": how,
        "targets": row.total,
        "done": row.done,
        "failed": row.failed,
        CAUSED_BY: str(row.id),
    }
    return Event(
        trigger_id=trigger_id,
        key=f"run/{row.short}/{row.attempts}",
        facts=facts,
        repository=row.repository_url,
    )
