"""Automations as pages and the API work with them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text

from bot.automate import automation_rows, automations, trigger_rows
from bot.automate.automations import By, Counts
from bot.automate.definition import Definition, restored
from bot.automate.files import folders
from bot.automate.files.sources import definition_of
from bot.automate.runs import previewing
from bot.automate.runs.beginning import Beginning, Cause
from bot.automate.triggers.hook_secrets import Made
from bot.errors import Unfit
from bot.govern.access import Act
from bot.govern.audit import record
from bot.govern.projects import get_project
from bot.store.transaction import Transaction
from bot.web.adding import find_project
from bot.web.automations_shown import shown
from bot.web.services import Services
from bot.web.visitor import Visitor

NEXT_TIMES = 3
RUNS_SHOWN = 3
Result = TypeVar("Result")
_RUNS = text(
    """
    SELECT one.automation_id, one.short, one.created_at,
           (SELECT coalesce(jsonb_object_agg(state, count), '{}')
              FROM (SELECT state, count(*) FROM run_target
                     WHERE run_target.run_id = one.id GROUP BY state) AS counted) AS targets
      FROM unnest(CAST(:automations AS uuid[])) AS wanted (id)
     CROSS JOIN LATERAL (
           SELECT run.id, run.automation_id, run.short, run.created_at FROM run
            WHERE run.automation_id = wanted.id ORDER BY run.created_at DESC LIMIT :most) AS one
     ORDER BY one.created_at DESC
    """
)

_DROPPED = text(
    """
    SELECT wanted.id AS automation_id, one.created_at, one.why
      FROM unnest(CAST(:automations AS uuid[])) AS wanted (id)
     CROSS JOIN LATERAL (
           SELECT event.created_at, event.why
             FROM automation_trigger AS trigger
             JOIN trigger_event AS event ON event.trigger_id = trigger.id
            WHERE trigger.automation_id = wanted.id AND event.state = 'dropped'
              AND event.why <> 'coalesced'
            ORDER BY event.created_at DESC LIMIT :most) AS one
     ORDER BY one.created_at DESC
    """
)


async def listed(
    visitor: Visitor, services: Services, project: str | None = None
) -> dict[str, Any]:
    """Those that they may see, and what else lies in the folders."""
    visitor.require(Act.SEE)
    if project is not None:
        await find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        rows = await automation_rows.listed(tx, project)
        read = [one for one in await folders.listed(tx) if project in {None, one["project"]}]
    seen = await services.rights.visible(visitor.standing, rows)
    beside = await services.rights.visible(visitor.standing, read)
    return {
        "automations": await _all(services, seen),
        "files": [
            {**file, "project": one["project"]}
            for one in beside
            for file in one["files"]
            if file["kind"] != "automation"
        ],
        "unread": [one for one in beside if one["problem"]],
    }


async def show(visitor: Visitor, services: Services, said: str) -> dict[str, Any]:
    """One of them. :raises NotFound: there is none that they may see"""
    visitor.require(Act.SEE)
    row = await _with(visitor, services, said, automations.require_read)
    (found,) = await _all(services, [row._asdict()])
    return found


async def approve(visitor: Visitor, services: Services, said: str, seen: str) -> dict[str, Any]:
    """Let what its file proposes count. :raises TellPerson: they may not, or it is another"""
    visitor.require(Act.PROMPT)
    row = await _with(visitor, services, said, automations.require_approver)
    proposed = _restored(row.proposed)
    made = await _secrets(services, row.id, proposed)

    async def act(tx: Transaction) -> Counts:
        found = await automation_rows.find(tx, row.short)
        return await automations.approve(tx, by_of(visitor, services), found, seen, sealed=sealed)

    sealed = [one.sealed for one in made]
    return _counted(services, await _settled(services, act), made)


async def make(visitor: Visitor, services: Services, project: str, source: str) -> dict[str, Any]:
    """Keep one that is written here. :raises TellPerson: they may not, or it has mistakes"""
    visitor.require(Act.PROMPT)
    definition = definition_of(source)
    by = by_of(visitor, services)

    async def check(tx: Transaction) -> UUID:
        found = UUID(str((await get_project(tx, project))["id"]))
        await automations.require_approver(tx, by, found)
        return found

    project_id = await _settled(services, check)
    made = await _secrets(services, None, definition)

    async def act(tx: Transaction) -> Counts:
        where = automations.Where(id=project_id, name=project)
        return await automations.make(tx, by, where, definition, sealed=sealed)

    sealed = [one.sealed for one in made]
    return _counted(services, await _settled(services, act), made)


async def change(visitor: Visitor, services: Services, said: str, source: str) -> dict[str, Any]:
    """Let one that was made here say something else. :raises TellPerson: as `make`"""
    visitor.require(Act.PROMPT)
    definition = definition_of(source)
    row = await _with(visitor, services, said, automations.require_approver)
    made = await _secrets(services, row.id, definition)

    async def act(tx: Transaction) -> Counts:
        found = await automation_rows.find(tx, row.short)
        by = by_of(visitor, services)
        return await automations.change(tx, by, found, definition, sealed=sealed)

    sealed = [one.sealed for one in made]
    return _counted(services, await _settled(services, act), made)


async def act(visitor: Visitor, services: Services, said: str, word: str) -> str:
    """Pause, resume or remove one, and what is said of it. :raises TellPerson: it can't be"""
    visitor.require(Act.PROMPT)
    acts = {
        "pause": automations.pause,
        "resume": automations.resume,
        "remove": automations.remove,
    }

    async def once(tx: Transaction) -> str:
        row = await automation_rows.find(tx, said)
        return await acts[word](tx, by_of(visitor, services), row)

    return await _settled(services, once)


async def run(visitor: Visitor, services: Services, said: str, key: str) -> dict[str, Any]:
    """Begin a run by hand, once for each key. :raises TellPerson: they may not"""
    visitor.require(Act.PROMPT)
    row = await _with(visitor, services, said, automations.require_write)
    cause = Cause(kind="person", key=f"person/{visitor.id}/{key}", started_by=visitor.id)
    begun = await _beginning(services).begin(row.id, cause)
    if begun.run_id is not None:
        place, body = f"{row.project}/{row.name}", {"run": begun.short}
        async with services.database.begin() as tx:
            event = visitor.did("automation.run", place, project_id=row.project_id, body=body)
            await record(tx, event)
    return {"run": begun.short, "why": begun.why, "text": begun.told}


async def preview(visitor: Visitor, services: Services, said: str) -> dict[str, Any]:
    """What would run now; nothing does. :raises TellPerson: they may not"""
    visitor.require(Act.PROMPT)
    row = await _with(visitor, services, said, automations.require_write)
    if not row.digest:
        # A search names what they may not see: that is for whoever approves it.
        await _with(visitor, services, said, automations.require_approver)
    found = await previewing.preview(_beginning(services).finding, row.id)
    async with services.database.begin() as tx:
        times = await trigger_rows.next_times(tx, row.id, NEXT_TIMES)
    return {
        "automation": row.short,
        "name": row.name,
        "text": found.told,
        "why": found.why,
        "runs_as": found.runs_as,
        "when": list(found.when),
        "steps": list(found.steps),
        "targets": [{"name": one.name, "why": one.why} for one in found.targets],
        "next": times,
    }


def by_of(visitor: Visitor, services: Services) -> By:
    """The visitor as automations want them."""
    return By(who=visitor.standing, source=visitor.source, rights=services.rights)


async def _settled(services: Services, act: Callable[[Transaction], Awaitable[Result]]) -> Result:
    """What `act` returns in a transaction, once the forges were asked that have to be."""

    async def once() -> Result:
        async with services.database.begin() as tx:
            return await act(tx)

    return await services.rights.settled(once)


async def _with(
    visitor: Visitor,
    services: Services,
    said: str,
    check: Callable[[Transaction, By, UUID], Awaitable[None]],
) -> Any:
    """The row of an automation with whose project they may do that."""

    async def look(tx: Transaction) -> Any:
        row = await automation_rows.find(tx, said)
        await check(tx, by_of(visitor, services), row.project_id)
        return row

    return await _settled(services, look)


async def _all(services: Services, rows: Sequence[Any]) -> list[dict[str, Any]]:
    ids = [row["id"] for row in rows]
    async with services.database.begin() as tx:
        triggers = await trigger_rows.of(tx, ids)
        asked = {"automations": ids, "most": RUNS_SHOWN}
        ran = (await tx.execute(_RUNS, asked)).all()
        dropped = (await tx.execute(_DROPPED, asked)).all()
    pages = services.settings.public_url or ""
    return [
        shown(
            row,
            triggers[row["id"]],
            [run for run in ran if run.automation_id == row["id"]],
            [event for event in dropped if event.automation_id == row["id"]],
            pages=pages,
        )
        for row in rows
    ]


def _restored(proposed: dict[str, Any]) -> Definition | None:
    """What is proposed; None: nothing that can be read, which approving says."""
    try:
        return restored(proposed)
    except ValueError:
        return None


async def _secrets(
    services: Services, automation_id: UUID | None, definition: Definition | None
) -> list[Made]:
    """Secrets for the webhooks that have none yet; made outside of any transaction."""
    if definition is None:
        return []
    async with services.database.begin() as tx:
        count = await trigger_rows.lacking(tx, automation_id, definition)
    return [await services.hook_secrets.make() for _one in range(count)]


def _counted(services: Services, counts: Counts, made: Sequence[Made]) -> dict[str, Any]:
    pages = services.settings.public_url or ""
    webhooks = [
        {
            "trigger": short,
            "address": f"{pages}/hooks/automations/{short}",
            "secret": one.secret.get_secret_value(),
            "sealed": services.hook_secrets.sealed,
        }
        for short, one in zip(counts.webhooks, made, strict=False)
    ]
    return {"automation": counts.short, "text": counts.told, "webhooks": webhooks}


def _beginning(services: Services) -> Beginning:
    if services.beginning is None:
        raise Unfit("this process begins no runs", do="ask an `ona serve` that does")
    return services.beginning
