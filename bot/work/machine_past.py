"""What rows tell of machines and templates that were before: short queries."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction
from bot.work.machine_words import UNKNOWN, given_up
from vmpool.machine import TemplateState

_END_OF_LAST = text(
    """
    SELECT machine.note, machine.facts -> 'given_up' AS given_up
      FROM turn JOIN machine ON machine.id = turn.machine_id
     WHERE turn.session_id = :session AND machine.id <> :machine
       AND machine.state IN ('lost', 'removing', 'gone')
     ORDER BY turn.started_at DESC LIMIT 1
    """
)
_HAD_ONE = text(
    """
    SELECT EXISTS (SELECT FROM turn WHERE session_id = :session AND machine_id <> :machine)
    """
)
_NEWEST_BUILD = text(
    """
    SELECT state, note FROM template
     WHERE host_id = :host AND project_id = :project AND size = :size
       AND state NOT IN ('building', 'gone')
     ORDER BY state = 'ready' DESC, created_at DESC LIMIT 1
    """
)
_NEWER_BUILD = text(
    """
    SELECT newer.state, newer.note
      FROM template AS its JOIN template AS newer USING (host_id, project_id, size)
     WHERE its.id = :template AND newer.created_at > its.created_at
       AND newer.state NOT IN ('building', 'gone')
     ORDER BY newer.created_at DESC LIMIT 1
    """
)


async def end_of_last(tx: Transaction, session_id: UUID, machine_id: UUID) -> str | None:
    """Why the machine is no more in which the session's last turn ran.

    :param machine_id: the machine of now, which is not meant
    :return: None: no turn ran in another one, or that one is still there
    """
    key = {"session": session_id, "machine": machine_id}
    gone = (await tx.execute(_END_OF_LAST, key)).one_or_none()
    if gone is not None and gone.given_up is not None:
        return given_up(gone.given_up["host"], datetime.fromisoformat(gone.given_up["since"]))
    return gone and (gone.note or UNKNOWN)


async def had_one(tx: Transaction, session_id: UUID, machine_id: UUID) -> bool:
    """Whether a turn of the session ran in another machine than that of now."""
    return bool(await tx.scalar(_HAD_ONE, {"session": session_id, "machine": machine_id}))


async def why_template_failed(
    tx: Transaction, host_id: UUID, project_id: UUID, size: str
) -> str | None:
    """Why the newest template of the project failed; None: it did not, or a ready one is there."""
    key = {"host": host_id, "project": project_id, "size": size}
    return _why((await tx.execute(_NEWEST_BUILD, key)).one_or_none())


async def why_newer_failed(tx: Transaction, template_id: UUID) -> str | None:
    """Why the newest template failed that was to replace this one; None: none has."""
    return _why((await tx.execute(_NEWER_BUILD, {"template": template_id})).one_or_none())


def _why(build: Any | None) -> str | None:
    """Why it failed; None: it did not, or there is none."""
    if build is None or build.state != TemplateState.FAILED:
        return None
    return build.note or UNKNOWN
