"""Machines: seeing them, and asking their owner to rest or destroy them."""

from fastapi import APIRouter, Query

from bot.govern.access import Act
from bot.web import machines, reading, shapes
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/machines", tags=["machines"])


@router.get("", response_model=shapes.Machines)
async def list_machines(
    visitor: Known, services: Provided, everything: bool = Query(default=False, alias="all")
) -> object:
    """Machines, the one used last first; with `all` also those that are gone."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await reading.machines(tx, everything=everything)
    return {"machines": await services.rights.visible(visitor.standing, found)}


@router.get("/{machine}", response_model=shapes.Machine)
async def show_machine(machine: str, visitor: Known, services: Provided) -> object:
    """One machine, by its id, its short id or its session's."""
    return await machines.find(visitor, services, machine, Act.SEE)


@router.post("/{machine}/hibernate", status_code=202, response_model=shapes.Told)
async def hibernate(machine: str, visitor: Known, services: Provided) -> shapes.Told:
    """Put a machine to rest as soon as no turn uses it, its memory included."""
    await machines.find(visitor, services, machine, Act.MACHINES)
    async with services.database.begin() as tx:
        _, said = await machines.ask(tx, visitor, machine, "rest")
    return shapes.Told(text=said)


@router.post("/{machine}/destroy", status_code=202, response_model=shapes.Told)
async def destroy(machine: str, visitor: Known, services: Provided) -> shapes.Told:
    """Destroy a machine as soon as no turn uses it; its session's checkpoint stays."""
    await machines.find(visitor, services, machine, Act.MACHINES)
    async with services.database.begin() as tx:
        _, said = await machines.ask(tx, visitor, machine, "destroy")
    return shapes.Told(text=said)
