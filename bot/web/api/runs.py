"""Runs of automations: how far they are, their targets, and what is done to them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, Response

from bot.automate.runs import run_rows
from bot.store.states import TargetState
from bot.web import runs, shapes, tables
from bot.web.shapes_runs import Again, Export, Run, Runs, Targets
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/runs", tags=["runs"])
COLUMNS = (
    *("place", "repository", "project", "state", "why", "attempt", "session", "branch", "outcome"),
    *("pull_requests", "cost_usd", "seconds", "started_at", "ended_at", "report"),
)


@router.get("", response_model=Runs)
async def list_runs(
    *,
    visitor: Known,
    services: Provided,
    limit: Annotated[int, Query(ge=1, le=run_rows.LISTED_MAX)] = 50,
    project: str | None = None,
    automation: Annotated[str | None, Query(description="name or run id")] = None,
    before: Annotated[
        datetime | None, Query(description="`created_at` of the last one you have")
    ] = None,
) -> object:
    """Runs, the newest first."""
    found = await runs.listed(
        visitor, services, limit=limit, project=project, automation=automation, before=before
    )
    return {"runs": found}


@router.get("/{run}", response_model=Run)
async def show_run(run: str, visitor: Known, services: Provided) -> object:
    """How far one is, and what it came to by now."""
    return await runs.show(visitor, services, run)


@router.get("/{run}/targets", response_model=Targets)
async def list_targets(
    *,
    run: str,
    visitor: Known,
    services: Provided,
    after: Annotated[int, Query(ge=0, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = runs.PAGE,
    state: TargetState | None = None,
) -> object:
    """Its targets in the order of their places, a page."""
    return await runs.targets(visitor, services, run, after=after, limit=limit, state=state)


@router.post("/{run}/stop", response_model=shapes.Told)
async def stop_run(run: str, visitor: Known, services: Provided) -> shapes.Told:
    """Stop all: what waits is not begun, what runs is asked to stop."""
    return shapes.Told(text=await runs.stop(visitor, services, run))


@router.post("/{run}/rerun", response_model=shapes.Told)
async def rerun(
    run: str, visitor: Known, services: Provided, again: Again | None = None
) -> shapes.Told:
    """Run targets again, each in a session of its own: those that failed, all, or one."""
    which = (again or Again()).which
    return shapes.Told(text=await runs.rerun(visitor, services, run, which))


@router.get("/{run}/export.json", response_model=Export)
async def export_json(run: str, visitor: Known, services: Provided) -> Response:
    """The run with all its targets."""
    found = Export.model_validate(await runs.export(visitor, services, run))
    return JSONResponse(jsonable_encoder(found), headers=_named(run, "json"))


@router.get("/{run}/export.csv", response_class=Response)
async def export_csv(run: str, visitor: Known, services: Provided) -> Response:
    """Its targets as a table for spreadsheets."""
    found = await runs.export(visitor, services, run)
    rows = [
        {**one, "pull_requests": " ".join(pull["url"] for pull in one["pull_requests"])}
        for one in found["targets"]
    ]
    return Response(
        tables.as_csv(COLUMNS, rows),
        media_type="text/csv; charset=utf-8",
        headers=_named(run, "csv"),
    )


def _named(run: str, ending: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{run}.{ending}"'}
