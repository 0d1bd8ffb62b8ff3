"""Triggers as rows, things that happen, and the loop that takes them."""

import json
from uuid import UUID

from sqlalchemy import text

from bot.automate.triggers import after, events
from bot.automate.triggers.events import Added, Event
from bot.automate.triggers.taking import Begins, Taking
from bot.store.ids import new_id, new_short
from tests.integration.automate.rig import beginning
from tests.integration.conftest import Town

_TRIGGER = text(
    """
    INSERT INTO automation_trigger (id, short, automation_id, place, kind, options, schedule_id,
                                    sealed, match)
    SELECT :id, :short, :automation, count(*), :kind, CAST(:options AS jsonb), :schedule, :sealed,
           :match
      FROM automation_trigger WHERE automation_id = :automation
    RETURNING short
    """
)
_SCHEDULE = text(
    """
    INSERT INTO schedule (id, rule, zone, state, due_at, fire_at)
    VALUES (:id, '{"kind": "cron", "fields": "* * * * *"}', 'UTC', 'active', now(), now())
    """
)
EVENTS = "SELECT key, state, why FROM trigger_event ORDER BY created_at, id"
NOTICES = "SELECT key, said ->> 'id' FROM automation_notice ORDER BY created_at, id"


async def trigger(town: Town, automation_id: UUID, kind: str = "push", **more) -> UUID:
    """One of an automation; `more`: options, sealed, match, schedule."""
    values = {
        "id": new_id(),
        "short": new_short("t"),
        "automation": automation_id,
        "kind": kind,
        "options": json.dumps(more.pop("options", {kind: {}})),
        "schedule": more.pop("schedule", None),
        "sealed": more.pop("sealed", ""),
        "match": more.pop("match", ""),
    }
    assert not more
    await town.database.run(_TRIGGER, values)
    return values["id"]


async def schedule(town: Town) -> UUID:
    """One that is due each minute, and now."""
    schedule_id = new_id()
    await town.database.run(_SCHEDULE, {"id": schedule_id})
    return schedule_id


async def happen(town: Town, trigger_id: UUID, key: str, about: str = "", **facts) -> Added:
    """Something that is due at once."""
    async with town.database.begin() as tx:
        event = Event(trigger_id=trigger_id, key=key, about=about, facts=facts)
        return await events.add(tx, event)


def taking(town: Town, begins: Begins | None = None) -> Taking:
    return Taking(town.database, begins or beginning(town))


async def due(town: Town) -> None:
    """Whatever waits is due now, and nobody holds it."""
    await town.database.run(
        text("UPDATE trigger_event SET act_at = now(), held_until = NULL WHERE state = 'waiting'")
    )


async def settled(town: Town) -> None:
    """Every run has come to its end."""
    await town.database.run(text("UPDATE run SET settled_at = now()"))


async def end(town: Town, run_id, state: str, *, stop_why: str = "") -> None:
    """The run's target has come to that, and the run is settled."""
    await town.rows(
        "UPDATE run_target SET state = 'running' WHERE run_id = :run AND state = 'waiting'"
        " RETURNING id",
        run=run_id,
    )
    await town.rows(
        "UPDATE run_target SET state = :state WHERE run_id = :run RETURNING id",
        run=run_id,
        state=state,
    )
    await town.rows(
        "UPDATE run SET settled_at = now(), stop_why = :why WHERE id = :run RETURNING id",
        run=run_id,
        why=stop_why,
    )
    async with town.database.begin() as tx:
        await after.ended(tx, run_id)
