"""Runs as pages and the API work with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.automate.runs import run_rows, steering
from bot.automate.runs.run_rows import Comes
from bot.automate.runs.steering import Which
from bot.automate.runs.tally import Counts
from bot.conversation import run_obeying, run_posting
from bot.govern.access import Act
from bot.govern.audit import record
from bot.store.states import TargetState
from bot.web.adding import find_project
from bot.web.services import Services
from bot.web.visitor import Visitor
from bot.words.amounts import MICRO
from bot.words.catalogue import Message

PAGE = 50
"""Targets that are shown at once."""
PULLS_MAX = 100

Row = Mapping[str, Any]


async def listed(
    visitor: Visitor,
    services: Services,
    *,
    limit: int = 50,
    project: str | None = None,
    automation: str | None = None,
    before: datetime | None = None,
) -> list[dict[str, Any]]:
    """Runs of projects that the visitor may read, the newest first; `ListedRun`."""
    visitor.require(Act.SEE)
    if project is not None:
        await find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        rows = await run_rows.listed(
            tx, limit=limit, project=project, automation=automation, before=before
        )
    return [_listed(row) for row in await services.rights.visible(visitor.standing, rows)]


async def show(visitor: Visitor, services: Services, short: str) -> dict[str, Any]:
    """One of them; `Run`. :raises NotFound: there is none that they may read"""
    row = await _readable(visitor, services, short)
    async with services.database.begin() as tx:
        return shown(row, await run_rows.comes_to(tx, row))


async def targets(
    visitor: Visitor,
    services: Services,
    short: str,
    *,
    after: int = 0,
    limit: int = PAGE,
    state: TargetState | None = None,
) -> dict[str, Any]:
    """Some of its targets; `Targets`."""
    row = await _readable(visitor, services, short)
    async with services.database.begin() as tx:
        found = await run_rows.targets(tx, row, after=after, limit=limit + 1, state=state)
    page = found[:limit]
    told = await _told(visitor, services, row, page)
    return {
        "targets": [_target(one) for one in told],
        "hidden": len(page) - len(told),
        "next": page[-1]["place"] if len(found) > limit else None,
    }


async def pulls(visitor: Visitor, services: Services, short: str) -> list[dict[str, Any]]:
    """The pull requests of targets that the visitor may read, with `place`, the open ones first."""
    row = await _readable(visitor, services, short)
    async with services.database.begin() as tx:
        found = await run_rows.targets(tx, row, limit=PULLS_MAX, opened=True)
    told = await _told(visitor, services, row, found)
    every = [{**pull, "place": one["place"]} for one in told for pull in one["pulls"]]
    order = ("open", "merged", "closed")
    return sorted(every, key=lambda one: (order.index(one["state"]), one["place"]))


async def export(visitor: Visitor, services: Services, short: str) -> dict[str, Any]:
    """A run with all its targets; `Export`. That it was taken is audited."""
    found = await targets(visitor, services, short, limit=run_rows.TARGETS_LISTED_MAX)
    run = await show(visitor, services, short)
    row = await _readable(visitor, services, short)
    async with services.database.begin() as tx:
        await record(tx, visitor.did("run.exported", short, project_id=row["project_id"]))
    return {"run": run, "targets": found["targets"], "hidden": found["hidden"]}


async def stop(visitor: Visitor, services: Services, short: str) -> Message:
    """End a run. :raises NothingToDo: :raises NotPermitted:"""

    async def once() -> Message:
        async with services.database.begin() as tx:
            row = await run_rows.lock(tx, short)
            await run_obeying.may_read(tx, services.rights, visitor.standing, row)
            await run_obeying.may_stop(tx, services.rights, visitor.standing, row)
            return await steering.stop(
                tx, row, visitor.actor, "person", surface=visitor.source.surface
            )

    return await services.rights.settled(once)


async def rerun(visitor: Visitor, services: Services, short: str, which: Which) -> Message:
    """Run targets again. :raises NotFound: :raises NothingToDo: :raises NotPermitted:"""

    async def once() -> Message:
        async with services.database.begin() as tx:
            row = await run_rows.lock(tx, short)
            await run_obeying.may_read(tx, services.rights, visitor.standing, row)
            await run_obeying.may_rerun(tx, services.rights, visitor.standing, row)
            return await steering.rerun(
                tx, row, visitor.actor, which, surface=visitor.source.surface
            )

    return await services.rights.settled(once)


def shown(row: Row, comes: Comes) -> dict[str, Any]:
    """A run as the API gives it; `Run`; pure."""
    tally = comes.tally
    return {
        **_listed({**row, "counts": tally, "status": tally.status}),
        "cost_usd": tally.cost_micro / MICRO,
        "eta_seconds": tally.eta_seconds,
        "questions": comes.found.questions,
        "reports": comes.found.reports,
        "pull_requests": dict(comes.pulls),
        "stopped": run_posting.stopped_why(row),
        "session": row["session"],
        "facts": {name: fact for name, fact in row["trigger"].items() if name != "kind"},
        "report_to": [{"place": one["place"], "why": one.get("why", "")} for one in row["reports"]],
    }


async def _readable(visitor: Visitor, services: Services, short: str) -> dict[str, Any]:
    """The row of a run. :raises NotFound: there is none that they may read"""
    visitor.require(Act.SEE)

    async def once() -> dict[str, Any]:
        async with services.database.begin() as tx:
            row = await run_rows.find(tx, short)
            await run_obeying.may_read(tx, services.rights, visitor.standing, row)
            return row

    return await services.rights.settled(once)


async def _told(
    visitor: Visitor, services: Services, run: Row, rows: Sequence[Row]
) -> Sequence[Row]:
    """Those of the targets that the visitor may be told of."""
    if visitor.standing.operator or not services.rights.guard:
        return rows
    projects = [{"project_id": row["project_id"]} for row in rows if row["project_id"]]
    may = {one["project_id"] for one in await services.rights.visible(visitor.standing, projects)}
    return run_rows.told_of(run, rows, may)


def _listed(row: Row) -> dict[str, Any]:
    return {
        "run": row["short"],
        "name": row["name"],
        "automation": row["automation"],
        "project": row["project"],
        "status": row["status"],
        "counts": _counts(row["counts"]),
        "trigger": row["trigger"].get("kind", ""),
        "by": row["started_by"],
        "runs_as": row["runs_as"],
        "created_at": row["created_at"],
        "settled_at": row["settled_at"],
    }


def _counts(counts: Counts) -> dict[str, int]:
    names = ("done", "running", "failed", "waiting", "skipped", "stopped", "total")
    return {name: getattr(counts, name) for name in names}


def _target(row: Row) -> dict[str, Any]:
    return {
        **{name: row[name] for name in TARGET_FACTS},
        "pull_requests": row["pulls"],
        "cost_usd": row["cost_micro"] / MICRO,
        "seconds": run_rows.seconds_of(row),
    }


TARGET_FACTS = (
    *("place", "repository", "project", "state", "why", "attempt", "session", "branch"),
    *("outcome", "report", "asks", "can_rerun", "started_at", "ended_at"),
)
