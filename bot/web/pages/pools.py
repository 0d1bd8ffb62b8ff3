"""The pools, and the templates they are made of."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern.access import Act
from bot.web import adding, pools
from bot.web.rendering import by_htmx, page, told
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/pools")


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """Pools, what waits in them, and the templates."""
    return await _page("pools.html", visitor, services)


@router.get("/list")
async def show_list(request: Request, visitor: Known, services: Provided) -> Response:
    """The lists alone, for the script that keeps them fresh."""
    if not by_htmx(request):
        return RedirectResponse("/pools", status_code=303)
    return await _page("_pools.html", visitor, services)


@router.get("/templates/{template}")
async def show_template(template: str, visitor: Known, services: Provided) -> Response:
    """One template and how it was built."""
    found = await pools.find(visitor, services, template)
    return page("template.html", visitor, built=found)


@router.post("/{name}/rebuild")
async def rebuild(name: str, request: Request, visitor: Known, services: Provided) -> Response:
    """Have the templates of a project built again."""
    said = await adding.rebuild(visitor, services, name)
    return told(request, said, back="/pools")


async def _page(name: str, visitor: Visitor, services: Services) -> Response:
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await pools.pools(tx)
        templates, unbegun = await pools.templates(tx, services.settings)
        waiting = await pools.waiting(tx)
    visible = services.rights.visible
    return page(
        name,
        visitor,
        pools=await visible(visitor.standing, found),
        templates=await visible(visitor.standing, templates),
        unbegun=await visible(visitor.standing, unbegun),
        waiting=await visible(visitor.standing, waiting),
    )
