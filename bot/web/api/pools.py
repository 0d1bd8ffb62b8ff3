"""Templates and pools: what is built, what waits, and why."""

from fastapi import APIRouter, Query

from bot.govern.access import Act
from bot.web import adding, pools, shapes
from bot.web.shapes_pools import Pools, Templates, TemplateWithLog, WaitingMachines
from bot.web.visitor import Known, Provided

router = APIRouter(tags=["pools"])


@router.get("/templates", response_model=Templates)
async def list_templates(
    visitor: Known, services: Provided, everything: bool = Query(default=False, alias="all")
) -> object:
    """Templates, those that machines are made of first, and those that are not begun yet.

    Failures that say the same of the same are one; with `all` each, and those that are gone.
    """
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found, waiting = await pools.templates(tx, services.settings, everything=everything)
    return {
        "templates": await services.rights.visible(visitor.standing, found),
        "waiting": await services.rights.visible(visitor.standing, waiting),
    }


@router.get("/templates/{template}", response_model=TemplateWithLog)
async def show_template(template: str, visitor: Known, services: Provided) -> object:
    """One template with the log of its build, by its id, its short id or its project's name."""
    return await pools.find(visitor, services, template)


@router.post("/projects/{name}/rebuild", status_code=202, response_model=shapes.Told)
async def rebuild(name: str, visitor: Known, services: Provided) -> shapes.Told:
    """Have the templates of a project built again."""
    return shapes.Told(text=await adding.rebuild(visitor, services, name))


@router.get("/pools", response_model=Pools)
async def list_pools(visitor: Known, services: Provided) -> object:
    """Pools by project and size: what waits, what should, and how machines were handed out."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await pools.pools(tx)
    return {"pools": await services.rights.visible(visitor.standing, found)}


@router.get("/pools/machines", response_model=WaitingMachines)
async def list_waiting(visitor: Known, services: Provided) -> object:
    """The machines that wait: in which tier each is, since when, and why."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await pools.waiting(tx)
    return {"machines": await services.rights.visible(visitor.standing, found)}
