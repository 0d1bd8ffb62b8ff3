"""Runs of automations: a list, and a page of each that keeps itself up to date."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from bot.automate.runs.steering import place_of
from bot.errors import Refused
from bot.store.states import TargetState
from bot.web import runs
from bot.web.rendering import by_htmx, fragment, page, told
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/runs")
BAR = 1_000
"""Units that the bar is wide."""
IN_BAR = ("done", "failed", "stopped", "skipped", "running")
"""States in the order in which the bar shows them; what waits is its rest."""


@router.get("")
async def show_runs(request: Request, visitor: Known, services: Provided) -> Response:
    """The newest ones; the list alone for the script that keeps it fresh."""
    found = await runs.listed(visitor, services)
    part = "_runs.html" if by_htmx(request) else "runs.html"
    return page(part, visitor, runs=found)


@router.get("/{run}")
async def show_run(
    *,
    run: str,
    visitor: Known,
    services: Provided,
    after: Annotated[int, Query(ge=0)] = 0,
    state: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """How far one is, its targets, its pull requests."""
    view = await _view(visitor, services, run, after=after, state=state)
    return page("run.html", visitor, **view)


@router.get("/{run}/live")
async def show_live(
    *,
    run: str,
    visitor: Known,
    services: Provided,
    after: Annotated[int, Query(ge=0)] = 0,
    state: Annotated[str, Query(max_length=16)] = "",
    seen: str = "",
) -> Response:
    """What of the page changes; 204 when it shows just this already."""
    view = await _view(visitor, services, run, after=after, state=state)
    if view["digest"] == seen:
        return Response(status_code=204)
    return page("_run.html", visitor, **view)


@router.post("/{run}/stop")
async def stop(run: str, request: Request, visitor: Known, services: Provided) -> Response:
    """Stop all."""
    said = await runs.stop(visitor, services, run)
    return told(request, said, back=f"/runs/{run}")


@router.post("/{run}/rerun")
async def rerun(
    *,
    run: str,
    request: Request,
    visitor: Known,
    services: Provided,
    which: Annotated[str, Form(max_length=16)] = "failed",
) -> Response:
    """Run targets again."""
    wanted = place_of(which)
    if wanted is None:
        raise Refused("say which: failed, all, or the number of a target", kept="nothing was done")
    said = await runs.rerun(visitor, services, run, wanted)
    return told(request, said, back=f"/runs/{run}")


async def _view(
    visitor: Visitor, services: Services, short: str, *, after: int, state: str
) -> dict[str, Any]:
    only = TargetState(state) if state in {one.value for one in TargetState} else None
    view: dict[str, Any] = {
        "run": await runs.show(visitor, services, short),
        "pulls": await runs.pulls(visitor, services, short),
        "after": after,
        "state": only.value if only else "",
        **await runs.targets(visitor, services, short, after=after, state=only),
    }
    view["bar"] = bar(view["run"]["counts"])
    whole = fragment("_run.html", csrf="", digest="", **view)
    return {**view, "digest": hashlib.sha256(whole.encode()).hexdigest()[:16]}


def bar(counts: dict[str, int]) -> list[dict[str, Any]]:
    """The parts of the bar: state, and where each begins and how wide it is, in BAR units; pure."""
    total, begins, parts = max(1, counts["total"]), 0, []
    for state in IN_BAR:
        ends = begins + counts[state]
        x, to = BAR * begins // total, BAR * ends // total
        if to > x:
            parts.append({"state": state, "x": x, "width": to - x})
        begins = ends
    return parts
