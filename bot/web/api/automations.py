"""Automations: what is done by itself, as a file of a repository or a person here says."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query

from bot.automate.files.json_schema import json_schema
from bot.store.ids import new_id
from bot.web import automations, shapes
from bot.web import shapes_automations as its
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/automations", tags=["automations"])
Project = Annotated[str, Query(description="where several projects have one of that name")]


@router.get("", response_model=its.Automations)
async def list_automations(
    visitor: Known, services: Provided, project: Annotated[str | None, Query()] = None
) -> object:
    """Those that one may see, and what else lies in the folders of their repositories."""
    return await automations.listed(visitor, services, project)


@router.get("/schema")
async def show_schema() -> dict[str, Any]:
    """The JSON Schema of a file; open to everybody, as editors ask for it."""
    return json_schema()


@router.post("", status_code=201, response_model=its.Counts)
async def make_automation(wanted: its.NewAutomation, visitor: Known, services: Provided) -> object:
    """Keep one; it counts at once, as if its maker had approved it."""
    return await automations.make(visitor, services, wanted.project, wanted.source)


@router.get("/{automation}", response_model=its.Automation)
async def show_automation(
    automation: str, visitor: Known, services: Provided, project: Project = ""
) -> object:
    """One of them, with what its file proposes."""
    return await automations.show(visitor, services, _said(automation, project))


@router.put("/{automation}", response_model=its.Counts)
async def change_automation(
    automation: str,
    wanted: its.AutomationChange,
    visitor: Known,
    services: Provided,
    project: Project = "",
) -> object:
    """Let one that was made here say something else."""
    said = _said(automation, project)
    return await automations.change(visitor, services, said, wanted.source)


@router.post("/{automation}/approve", response_model=its.Counts)
async def approve_automation(
    automation: str,
    wanted: its.Approval,
    visitor: Known,
    services: Provided,
    project: Project = "",
) -> object:
    """Let what its file proposes count; refused when it is not what the person saw."""
    said = _said(automation, project)
    return await automations.approve(visitor, services, said, wanted.digest)


@router.post("/{automation}/run", status_code=202, response_model=its.BegunRun)
async def run_automation(
    automation: str,
    visitor: Known,
    services: Provided,
    project: Project = "",
    idempotency_key: Annotated[
        str, Header(max_length=200, description="the same for every attempt to begin the same run")
    ] = "",
) -> object:
    """Begin a run of what counts now."""
    said, key = _said(automation, project), idempotency_key or str(new_id())
    return await automations.run(visitor, services, said, key)


@router.get("/{automation}/preview", response_model=its.Preview)
async def preview_automation(
    automation: str, visitor: Known, services: Provided, project: Project = ""
) -> object:
    """What would run now: targets, steps, in whose name, and when next; nothing is begun."""
    return await automations.preview(visitor, services, _said(automation, project))


@router.post("/{automation}/{act}", response_model=shapes.Told)
async def act_on_automation(
    automation: str,
    act: Literal["pause", "resume"],
    visitor: Known,
    services: Provided,
    project: Project = "",
) -> shapes.Told:
    """Pause it, or let it go on."""
    return shapes.Told(
        text=await automations.act(visitor, services, _said(automation, project), act)
    )


@router.delete("/{automation}", response_model=shapes.Told)
async def remove_automation(
    automation: str, visitor: Known, services: Provided, project: Project = ""
) -> shapes.Told:
    """Remove one that was made here; its runs are kept."""
    said = _said(automation, project)
    return shapes.Told(text=await automations.act(visitor, services, said, "remove"))


def _said(automation: str, project: str) -> str:
    return f"{project}/{automation}" if project else automation
