"""How the surfaces do, for operators."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.web import surfaces
from bot.web.rendering import by_htmx, page
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/status")


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """Each surface, whether it is heard, and what waits."""
    return page("status.html", visitor, surfaces=await surfaces.surfaces(visitor, services))


@router.get("/list")
async def show_list(request: Request, visitor: Known, services: Provided) -> Response:
    """The list alone, for the script that keeps it fresh."""
    if not by_htmx(request):
        return RedirectResponse("/status", status_code=303)
    return page("_surfaces.html", visitor, surfaces=await surfaces.surfaces(visitor, services))
