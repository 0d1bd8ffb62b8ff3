"""How the surfaces do and what is halted, for operators."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern import halting
from bot.govern.access import Act
from bot.web import surfaces
from bot.web.adding import names
from bot.web.rendering import by_htmx, page
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/status")


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """Each surface, whether it is heard, and what waits; what is halted."""
    found = await surfaces.surfaces(visitor, services)
    async with services.database.begin() as tx:
        halts = await halting.read(tx)
    known = await names(visitor, services)
    return page("status.html", visitor, surfaces=found, halts=halts, halting=True, projects=known)


@router.get("/list")
async def show_list(request: Request, visitor: Known, services: Provided) -> Response:
    """The list alone, for the script that keeps it fresh."""
    if not by_htmx(request):
        return RedirectResponse("/status", status_code=303)
    return page("_surfaces.html", visitor, surfaces=await surfaces.surfaces(visitor, services))


Named = Annotated[str, Form(max_length=200)]


@router.post("/halt")
async def halt(
    visitor: Known,
    services: Provided,
    project: Named = "",
    person: Named = "",
    why: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """Halt a project, a person's work, or everything when none is named."""
    visitor.require(Act.HALT)
    async with services.database.begin() as tx:
        await halting.halt(
            tx, visitor.standing, project=project or None, person=person or None, why=why
        )
    return RedirectResponse("/status", status_code=303)


@router.post("/resume")
async def resume(
    visitor: Known, services: Provided, project: Named = "", person: Named = ""
) -> Response:
    """Undo a halt."""
    visitor.require(Act.HALT)
    async with services.database.begin() as tx:
        await halting.lift(tx, visitor.standing, project=project or None, person=person or None)
    return RedirectResponse("/status", status_code=303)
