"""The rows of the triggers that count of an automation, and of the schedules among them.

Part of the caller's transaction. A trigger that says the same as before keeps its row: the address
of its webhook, its secret and its next time stay as they are.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import After, At, Cron, Definition, MessageTrigger, Trigger, kind_of
from bot.errors import Refused
from bot.store import shorts
from bot.store.database import SCHEDULES
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from scheduler import due_rows, rules, schedule_rows
from scheduler.local import said_at, zone_of
from scheduler.schedule import Schedule

_KNOWN = text(
    """
    SELECT id, short, place, kind, options, schedule_id, sealed FROM automation_trigger
     WHERE automation_id = :automation ORDER BY place FOR UPDATE
    """
)
_ASIDE = text("UPDATE automation_trigger SET place = -1 - place WHERE automation_id = :automation")
_KEEP = text("UPDATE automation_trigger SET place = :place, match = :match WHERE id = :id")
_ADD = text(
    """
    INSERT INTO automation_trigger (id, short, automation_id, place, kind, options, schedule_id,
                                    sealed, match)
    VALUES (:id, :short, :automation, :place, :kind, CAST(:options AS jsonb), :schedule, :sealed,
            :match)
    """
)
_SCHEDULES = text(
    """
    SELECT schedule.id, schedule.rule, schedule.zone, schedule.starts_at, schedule.ends_at,
           schedule.jitter_seconds, schedule.misfire, schedule.grace_seconds, schedule.state
      FROM schedule JOIN automation_trigger ON automation_trigger.schedule_id = schedule.id
     WHERE automation_trigger.automation_id = :automation FOR UPDATE OF schedule
    """
)
_DELETE_SCHEDULES = text(
    """
    DELETE FROM schedule WHERE id IN (
           SELECT schedule_id FROM automation_trigger
            WHERE automation_id = :automation AND id <> ALL(:kept))
    """
)
_DELETE = text(
    "DELETE FROM automation_trigger WHERE automation_id = :automation AND id <> ALL(:kept)"
)
_OF = text(
    """
    SELECT trigger.id, trigger.short, trigger.automation_id, trigger.place, trigger.kind,
           trigger.options, schedule.due_at, schedule.state AS schedule_state
      FROM automation_trigger AS trigger LEFT JOIN schedule ON schedule.id = trigger.schedule_id
     WHERE trigger.automation_id = ANY(:automations)
     ORDER BY trigger.automation_id, trigger.place
    """
)
PAUSED = "automation"
"""Why the schedules of a paused automation are."""


def schedule_of(trigger: Cron | At) -> Schedule:
    """When a trigger of the clock is due."""
    zone = zone_of(trigger.zone)
    if isinstance(trigger, At):
        return Schedule(rule=rules.Once(at=said_at(trigger.at, zone)), zone=trigger.zone)
    return Schedule(
        rule=rules.Cron(fields=trigger.cron),
        zone=trigger.zone,
        starts_at=said_at(trigger.starts, zone) if trigger.starts else None,
        ends_at=said_at(trigger.ends, zone) if trigger.ends else None,
        jitter_seconds=trigger.jitter_minutes * 60,
        misfire=trigger.misfire,
    )


def options_of(trigger: Trigger) -> dict[str, Any]:
    """A trigger as a row keeps it."""
    return trigger.model_dump(mode="json", exclude_defaults=True)


async def lacking(tx: Transaction, automation_id: UUID | None, definition: Definition) -> int:
    """How many webhooks of a definition have no secret yet; None: the automation is new."""
    known: list[Any] = []
    if automation_id is not None:
        known = list((await tx.execute(_KNOWN, {"automation": automation_id})).all())
    wanted = [one for one in definition.triggers if kind_of(one) == "webhook"]
    return sum(not any(_is(row, one) for row in known) for one in wanted)


async def write(
    tx: Transaction,
    automation_id: UUID,
    definition: Definition,
    *,
    sealed: Sequence[str] = (),
    paused: bool = False,
) -> list[str]:
    """Let the triggers of a definition be those that count.

    :param sealed: a secret for each new webhook
    :returns: the short names of the webhooks that took them, in their order
    :raises Refused: there are too few secrets, or no short name was free
    """
    known = list((await tx.execute(_KNOWN, {"automation": automation_id})).all())
    kept: dict[int, Any] = {}
    for place, trigger in enumerate(definition.triggers):
        same = (one for one in known if _is(one, trigger))
        if (row := next(same, None)) is not None:
            known.remove(row)
            kept[place] = row
    await _drop(tx, automation_id, [row.id for row in kept.values()])
    secrets, made = list(sealed), list[str]()
    for place, trigger in enumerate(definition.triggers):
        if place in kept:
            # A channel is looked for anew: it is watched in the name of who approves it now.
            values = {"id": kept[place].id, "place": place, "match": match_of(trigger)}
            await tx.execute(_KEEP, values)
            continue
        secret = _secret(trigger, secrets)
        short = await _add(tx, automation_id, place, trigger, secret=secret, paused=paused)
        made += [short] if secret else []
    tx.hint(SCHEDULES)
    return made


async def of(tx: Transaction, automations: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Those of each automation, in their order: short, kind, options, due_at."""
    found: dict[UUID, list[dict[str, Any]]] = {one: [] for one in automations}
    for row in (await tx.execute(_OF, {"automations": list(automations)})).mappings():
        found[row["automation_id"]].append(row)
    return found


async def next_times(tx: Transaction, automation_id: UUID, count: int) -> list[datetime]:
    """When its schedules are due next. :raises Refused: one of them can't be read any more"""
    now, times = await due_rows.now(tx), set[datetime]()
    for row in (await tx.execute(_SCHEDULES, {"automation": automation_id})).all():
        if row.state == "active":
            times.update(_readable(row).next_times(now, count))
    return sorted(times)[:count]


async def drop(tx: Transaction, automation_id: UUID) -> None:
    """Remove all of them."""
    await _drop(tx, automation_id, [])
    tx.hint(SCHEDULES)


async def pause(tx: Transaction, automation_id: UUID) -> None:
    """Let no schedule of it be due until it is resumed."""
    for row in (await tx.execute(_SCHEDULES, {"automation": automation_id})).all():
        if row.state == "active":
            await schedule_rows.pause(tx, row.id, PAUSED)
    tx.hint(SCHEDULES)


async def resume(tx: Transaction, automation_id: UUID) -> None:
    """Let its schedules be due again from now on; what was due meanwhile is not done.

    :raises Refused: one of them can't be read any more
    """
    now = await due_rows.now(tx)
    for row in (await tx.execute(_SCHEDULES, {"automation": automation_id})).all():
        await schedule_rows.start(tx, row.id, _readable(row), now)
    tx.hint(SCHEDULES)


def _readable(row: Any) -> Schedule:
    try:
        return due_rows.schedule_of(row)
    except ValueError as error:
        raise Refused(
            _("the time of one of its triggers can't be read any more: {why}", why=str(error)),
            kept=_("nothing was changed"),
            do=_("change that trigger and have it approved"),
        ) from error


def _is(row: Any, trigger: Trigger) -> bool:
    return bool(row.kind == kind_of(trigger) and row.options == options_of(trigger))


def _secret(trigger: Trigger, secrets: list[str]) -> str:
    if kind_of(trigger) != "webhook":
        return ""
    if not secrets:
        raise Refused(
            _("another webhook was added meanwhile"),
            kept=_("nothing was changed"),
            do=_("look at it again"),
        )
    return secrets.pop(0)


async def _drop(tx: Transaction, automation_id: UUID, kept: list[UUID]) -> None:
    values = {"automation": automation_id, "kept": kept}
    await tx.execute(_DELETE_SCHEDULES, values)
    await tx.execute(_DELETE, values)
    await tx.execute(_ASIDE, {"automation": automation_id})


async def _add(
    tx: Transaction, automation_id: UUID, place: int, trigger: Trigger, *, secret: str, paused: bool
) -> str:
    schedule_id = None
    if isinstance(trigger, Cron | At):
        schedule_id, now = new_id(), await due_rows.now(tx)
        why = PAUSED if paused else ""
        await schedule_rows.add(tx, schedule_id, schedule_of(trigger), now, paused=why)
    values = {
        "id": new_id(),
        "automation": automation_id,
        "place": place,
        "kind": kind_of(trigger),
        "options": json.dumps(options_of(trigger)),
        "schedule": schedule_id,
        "sealed": secret,
        "match": match_of(trigger),
    }
    short = await shorts.add(tx, _ADD, values, "t")
    if short is None:
        raise Refused(_("no short name was free for the trigger"), do=_("try again"))
    return short


def match_of(trigger: Trigger) -> str:
    """What events of its kind are looked up by; empty: nothing."""
    if isinstance(trigger, MessageTrigger):
        return trigger.message.channel
    return trigger.after.automation if isinstance(trigger, After) else ""
