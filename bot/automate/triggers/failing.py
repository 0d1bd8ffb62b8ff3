"""An automation whose runs fail again and again pauses, and says so."""

from uuid import UUID

import structlog
from sqlalchemy import text

from bot.automate import notices
from bot.automate.triggers import taking_words
from bot.govern.audit import HERE, Audited, record
from bot.store.database import is_away
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _
from scheduler.local import is_zone

log = structlog.get_logger(__name__)

FAILURES_MAX = 3
"""Runs in a row."""
_HOUR = text("SELECT date_trunc('hour', now())")
_ENDED = text(
    """
    SELECT automation_id, name, short,
           (SELECT coalesce(sum(attempt), 0) FROM run_target WHERE run_id = :run) AS attempts
      FROM run WHERE id = :run
    """
)
_NOTE = text(
    """
    UPDATE automation
       SET failures = CASE WHEN :failed THEN failures + 1 ELSE 0 END
     WHERE id = :automation RETURNING name, state, failures, changed_at
    """
)
_PAUSE = text(
    """
    UPDATE automation SET state = 'paused', why = :why, changed_at = clock_timestamp()
     WHERE id = :automation AND state = 'active'
    RETURNING name, project_id,
              (SELECT project.name FROM project WHERE project.id = project_id) AS project
    """
)


async def note(tx: Transaction, automation_id: UUID, failed: bool) -> bool:
    """Count how a run ended that nobody stopped; whether the automation pauses because of it."""
    counted = {"automation": automation_id, "failed": failed}
    row = (await tx.execute(_NOTE, counted)).one_or_none()
    if row is None or row.failures < FAILURES_MAX:
        return False
    said = _(
        "{count} runs of {automation} failed one after the other, so it is paused. Look at what"
        " they say, then `automations resume {automation}` lets it go on.",
        count=FAILURES_MAX,
        automation=row.name,
    )
    return await pause(tx, automation_id, "failures", said)


async def pause(tx: Transaction, automation_id: UUID, why: str, said: Message) -> bool:
    """Let an automation do nothing by itself, and tell where it reports; False: it is paused.

    :param why: as `automation.why` keeps it
    """
    row = (await tx.execute(_PAUSE, {"automation": automation_id, "why": why})).first()
    if row is None:
        return False
    body = {"why": why}
    place = f"{row.project}/{row.name}"
    kind = "automation.paused"
    await record(tx, Audited(kind=kind, by=HERE, place=place, project_id=row.project_id, body=body))
    at = await tx.scalar(text("SELECT clock_timestamp()"))
    await notices.put(tx, automation_id, f"paused/{why}/{at.isoformat()}", said)
    return True


async def not_begun(tx: Transaction, automation_id: UUID, name: str) -> None:
    """Tell that a run was given up before it began, once an hour, as far as that can be told."""
    try:
        async with tx.begin_nested():
            hour = await tx.scalar(_HOUR)
            key = f"failed/{hour.isoformat()}"
            await notices.put(tx, automation_id, key, taking_words.not_begun(name))
    except Exception as error:
        if is_away(error):
            raise
        # What can't even be told must not be tried for ever.
        log.error("failure_not_told", automation=name, error=repr(error))


async def not_ended(tx: Transaction, run_id: UUID) -> None:
    """Tell that not all was done that the end of a run asks for."""
    row = (await tx.execute(_ENDED, {"run": run_id})).one()
    if row.automation_id is not None:
        said = taking_words.not_ended(row.name, row.short)
        await notices.put(tx, row.automation_id, f"end/{row.short}/{row.attempts}", said)


async def without_owner(tx: Transaction, automation_id: UUID, name: str, why: str) -> bool:
    """Pause one that nobody can work for any more; `why` is `runs_as` or `project`."""
    if why == "project":
        said = _("The automation {automation} is paused: its project was removed.", automation=name)
    else:
        said = _(
            "The automation {automation} is paused: whoever it works as is deactivated here, or"
            " gone. Who may approve it takes it over with `automations resume {automation}`.",
            automation=name,
        )
    return await pause(tx, automation_id, why, said)


async def without_time(tx: Transaction, automation_id: UUID, name: str, zone: str) -> bool:
    """Pause one with a schedule from which no time follows any more."""
    why = _("there is no time zone {zone} any more", zone=zone)
    if is_zone(zone):
        why = _("when it is due can't be read any more")
    said = _(
        "The automation {automation} is paused: {why}. Change its trigger and have that approved;"
        " then `automations resume {automation}` lets it go on.",
        automation=name,
        why=why,
    )
    return await pause(tx, automation_id, "time", said)
