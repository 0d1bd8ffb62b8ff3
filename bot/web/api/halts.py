"""Halts: what an operator has told to stand still."""

from typing import Annotated

from fastapi import APIRouter, Query

from bot.govern import halting
from bot.govern.access import Act
from bot.govern.halt import Halt
from bot.web import shapes
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/halts", tags=["halts"])


@router.get("", response_model=shapes.Halts)
async def list_halts(visitor: Known, services: Provided) -> object:
    """What is halted, by whom, since when and why."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        return {"halts": [_shown(one) for one in await halting.read(tx)]}


@router.post("", response_model=shapes.Told)
async def halt(wanted: shapes.NewHalt, visitor: Known, services: Provided) -> shapes.Told:
    """Halt everything, a project, or what a person asks for; turns end within 5 s."""
    visitor.require(Act.HALT)
    async with services.database.begin() as tx:
        made = await halting.halt(
            tx, visitor.standing, project=wanted.project, person=wanted.person, why=wanted.why
        )
    return shapes.Told(text=f"Halted: {made.what}. Running turns end within seconds.")


@router.delete("", response_model=shapes.Told)
async def resume(
    visitor: Known,
    services: Provided,
    project: Annotated[str | None, Query(description="its name")] = None,
    person: Annotated[str | None, Query(description="name or id")] = None,
) -> shapes.Told:
    """Undo a halt: of everything, or of a project or a person; what waited goes on."""
    visitor.require(Act.HALT)
    async with services.database.begin() as tx:
        lifted, left = await halting.lift(tx, visitor.standing, project=project, person=person)
    return shapes.Told(text=resumed(lifted, left))


def resumed(lifted: Halt, left: list[Halt]) -> str:
    """What is said of a halt that is undone."""
    still = "; ".join(one.told for one in left)
    return f"Resumed: {lifted.what}." + (f" Still: {still}." if left else "")


def _shown(one: Halt) -> dict[str, object]:
    return {
        "scope": one.scope.value,
        "target": one.target,
        "by": one.name,
        "why": one.why,
        "at": one.at,
    }
