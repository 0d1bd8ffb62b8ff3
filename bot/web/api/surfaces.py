"""Surfaces: whether what is said there is heard, and what waits to be posted."""

from fastapi import APIRouter

from bot.web import shapes
from bot.web import surfaces as found
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/surfaces", tags=["surfaces"])


@router.get("", response_model=shapes.Surfaces)
async def list_surfaces(visitor: Known, services: Provided) -> object:
    """Each surface: off, connecting, listening or failing, why and since when."""
    return {"surfaces": await found.surfaces(visitor, services)}
