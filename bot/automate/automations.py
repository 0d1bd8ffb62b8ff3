"""Automations and what people do with them: approve, pause, resume, remove, make and change.

    a file ─▶ proposed ─▶ approved by its digest ─▶ active ⇄ paused ─▶ removed
    made here: approved by its maker

Everything here is part of the caller's transaction, and every act is audited in it. What a person
may do is asked of `bot.govern.rights`, which may have to ask a forge first: then `NotAsked` comes
out, and the caller begins again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import Permission
from bot.automate import automation_rows, trigger_rows
from bot.automate.definition import Definition, digest, kept, kind_of, restored, step_kind
from bot.automate.running_as import check_name as who_runs
from bot.errors import NotAllowed, NothingToDo, Refused
from bot.govern.access import Standing
from bot.govern.audit import Audited, Source, record
from bot.govern.rights import Rights
from bot.store.transaction import Transaction
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

DIGEST_LENGTH_MIN = 12
"""Of what is given of a digest."""
_APPROVE = text(
    """
    UPDATE automation
       SET definition = CAST(:definition AS jsonb), digest = :digest, proposed = '{}',
           proposed_digest = '', approved_by = :by, approved_at = now(), runs_as_id = :runs_as,
           state = CASE WHEN state = 'proposed' THEN 'active' ELSE state END,
           failures = 0, changed_at = now()
     WHERE id = :id
    """
)
_RUN_AS = text("UPDATE automation SET approved_by = :by, runs_as_id = :runs_as WHERE id = :id")
_RENAME = text("UPDATE automation SET name = :name WHERE id = :id")
_STATE = text(
    """
    UPDATE automation SET state = :state, why = :why, failures = 0, changed_at = now()
     WHERE id = :id
    """
)


@dataclass(frozen=True, kw_only=True)
class By:
    """Who does something, and what they may."""

    who: Standing
    source: Source
    rights: Rights


@dataclass(frozen=True, kw_only=True)
class Where:
    """The project of one that is made here."""

    id: UUID
    name: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What counts from now on."""

    short: str
    webhooks: Sequence[str]
    """Short names of the triggers that took the secrets, in their order."""
    told: Message


async def require_read(tx: Transaction, by: By, project_id: UUID) -> None:
    """Who sees it. :raises NotPermitted: :raises NotAsked:"""
    await by.rights.check(tx, by.who, project_id, Permission.READ)


async def require_write(tx: Transaction, by: By, project_id: UUID) -> None:
    """Who runs and pauses: who may write. :raises NotPermitted: :raises NotAsked:"""
    await by.rights.check(tx, by.who, project_id, Permission.WRITE)


async def require_approver(tx: Transaction, by: By, project_id: UUID) -> None:
    """Who says what counts: who administers the repository, or an operator.

    :raises NotAllowed: they may not
    :raises NotAsked: the forge has to be asked first
    """
    if not await by.rights.approves(tx, by.who, project_id):
        raise NotAllowed(
            _("only who administers the repository on its code host, or an operator, may do this"),
            kept=_("nothing was changed"),
            do=_("ask one of them"),
        )


async def approve(
    tx: Transaction, by: By, row: Any, seen: str, *, sealed: Sequence[str] = ()
) -> Counts:
    """Let what a file proposes count, which is what the person saw.

    :param seen: the digest of that, or its first 12 characters or more
    :param sealed: a secret for each webhook
    :raises TellPerson: they may not, nothing is proposed, or something else
    """
    await require_approver(tx, by, row.project_id)
    if not row.proposed_digest:
        raise NothingToDo(_("there is nothing to approve in {name}", name=row.name))
    if len(seen) < DIGEST_LENGTH_MIN or not row.proposed_digest.startswith(seen):
        raise Refused(
            _("the automation {name} says something else by now than what you saw", name=row.name),
            kept=_("nothing was approved"),
            do=_("look at it again: `ona automations show {name}`", name=row.short),
        )
    definition = _readable(row.proposed)
    return await _count(tx, by, row, definition, sealed=sealed, kind="automation.approved")


async def make(
    tx: Transaction, by: By, project: Where, definition: Definition, *, sealed: Sequence[str] = ()
) -> Counts:
    """Keep one that somebody wrote here; it counts at once. :raises TellPerson: it can't be"""
    await require_approver(tx, by, project.id)
    runs_as = await who_runs(tx, by.who, definition)
    names = {"by": by.who.person_id, "runs_as": runs_as.person_id}
    automation_id, short = await automation_rows.add(tx, project.id, definition, **names)
    webhooks = await trigger_rows.write(tx, automation_id, definition, sealed=sealed)
    place = f"{project.name}/{definition.name}"
    await record(tx, _event(by, "automation.made", place, project.id, _body(definition, runs_as)))
    told = _("{name} counts from now on, as {short}.", name=definition.name, short=short)
    return Counts(short=short, webhooks=webhooks, told=told)


async def change(
    tx: Transaction, by: By, row: Any, definition: Definition, *, sealed: Sequence[str] = ()
) -> Counts:
    """Let one that was made here say something else. :raises TellPerson: it can't be"""
    await require_approver(tx, by, row.project_id)
    _require_made_here(row)
    await automation_rows.check_name(tx, row.project_id, row.id, definition.name)
    await tx.execute(_RENAME, {"id": row.id, "name": definition.name})
    return await _count(tx, by, row, definition, sealed=sealed, kind="automation.changed")


async def pause(tx: Transaction, by: By, row: Any) -> Message:
    """Let no trigger of it count until it is resumed; runs go on. :raises TellPerson:"""
    await require_write(tx, by, row.project_id)
    if row.state != "active":
        raise NothingToDo(
            _("the automation {name} is not active, so there is nothing to pause", name=row.name)
        )
    await tx.execute(_STATE, {"id": row.id, "state": "paused", "why": "person"})
    await trigger_rows.pause(tx, row.id)
    await record(tx, _event(by, "automation.paused", _place(row), row.project_id, {}))
    return _(
        "{name} is paused; runs that have begun go on. `automations resume {short}` lets it go on.",
        name=row.name,
        short=row.short,
    )


async def resume(tx: Transaction, by: By, row: Any) -> Message:
    """Let it go on; what was due meanwhile is not done. :raises TellPerson:

    If whoever it works as is deactivated, who may approve it takes it over by that.
    """
    await require_write(tx, by, row.project_id)
    if row.state != "paused":
        raise NothingToDo(_("the automation {name} is not paused", name=row.name))
    body = await _take_over(tx, by, row) if row.owner_left else {}
    await tx.execute(_STATE, {"id": row.id, "state": "active", "why": ""})
    await trigger_rows.resume(tx, row.id)
    await record(tx, _event(by, "automation.resumed", _place(row), row.project_id, body))
    return _("{name} goes on.", name=row.name)


async def _take_over(tx: Transaction, by: By, row: Any) -> dict[str, Any]:
    await require_approver(tx, by, row.project_id)
    runs_as = await who_runs(tx, by.who, _readable(row.definition))
    names = {"by": by.who.person_id, "runs_as": runs_as.person_id}
    await tx.execute(_RUN_AS, {"id": row.id, **names})
    return {"runs_as": runs_as.name}


async def remove(tx: Transaction, by: By, row: Any) -> Message:
    """Remove one that was made here; its runs are kept. :raises TellPerson:"""
    await require_approver(tx, by, row.project_id)
    _require_made_here(row)
    await tx.execute(_STATE, {"id": row.id, "state": "removed", "why": ""})
    await trigger_rows.drop(tx, row.id)
    await record(tx, _event(by, "automation.removed", _place(row), row.project_id, {}))
    return _("{name} is removed; its runs are kept.", name=row.name)


async def _count(
    tx: Transaction, by: By, row: Any, definition: Definition, *, sealed: Sequence[str], kind: str
) -> Counts:
    runs_as = await who_runs(tx, by.who, definition)
    values = {
        "id": row.id,
        "definition": json.dumps(kept(definition)),
        "digest": digest(definition),
        "by": by.who.person_id,
        "runs_as": runs_as.person_id,
    }
    await tx.execute(_APPROVE, values)
    paused = row.state == "paused"
    webhooks = await trigger_rows.write(tx, row.id, definition, sealed=sealed, paused=paused)
    body = _body(definition, runs_as)
    await record(tx, _event(by, kind, _place(row), row.project_id, body))
    told = _(
        "{name} counts from now on, in the name of {person}.",
        name=definition.name,
        person=runs_as.name,
    )
    return Counts(short=row.short, webhooks=webhooks, told=told)


def _require_made_here(row: Any) -> None:
    if row.path:
        raise Refused(
            _(
                "the automation {name} is what the file {path} of the repository says",
                name=row.name,
                path=row.path,
            ),
            kept=_("nothing was changed"),
            do=_("change or delete the file there, or pause it here"),
        )


def _readable(proposed: dict[str, Any]) -> Definition:
    try:
        return restored(proposed)
    except ValueError as error:
        raise Refused(
            _("what it says can't be read any more"),
            do=_("change its file so that it is read anew"),
        ) from error


def _place(row: Any) -> str:
    return f"{row.project}/{row.name}"


def _body(definition: Definition, runs_as: Standing) -> dict[str, Any]:
    return {
        "digest": digest(definition),
        "runs_as": runs_as.name,
        "triggers": [kind_of(one) for one in definition.triggers],
        "steps": [step_kind(one) for one in definition.steps],
    }


def _event(by: By, kind: str, place: str, project_id: UUID, body: dict[str, Any]) -> Audited:
    return Audited(kind=kind, by=by.source, place=place, project_id=project_id, body=body)
