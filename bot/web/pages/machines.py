"""The machines and their hosts."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern.access import Act
from bot.web import machines, reading
from bot.web.rendering import by_htmx, page, told
from bot.web.services import Services
from bot.web.visitor import Known, Provided, Visitor

router = APIRouter(prefix="/machines")


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """Every machine of a session that is not gone."""
    visitor.require(Act.SEE)
    found = await _of_sessions(visitor, services)
    async with services.database.begin() as tx:
        hosts = await reading.hosts(tx)
    return page("machines.html", visitor, machines=found, hosts=hosts)


@router.get("/list")
async def show_list(request: Request, visitor: Known, services: Provided) -> Response:
    """The list alone, for the script that keeps it fresh."""
    visitor.require(Act.SEE)
    if not by_htmx(request):
        return RedirectResponse("/machines", status_code=303)
    found = await _of_sessions(visitor, services)
    return page("_machines.html", visitor, machines=found)


@router.post("/{machine}/{request_}")
async def ask(
    machine: str,
    request_: Literal["rest", "destroy"],
    request: Request,
    visitor: Known,
    services: Provided,
) -> Response:
    """Ask the machine's owner to rest or destroy it."""
    await machines.find(visitor, services, machine, Act.MACHINES)
    async with services.database.begin() as tx:
        _, said = await machines.ask(tx, visitor, machine, request_)
    return told(request, said, back="/machines")


async def _of_sessions(visitor: Visitor, services: Services) -> list[reading.Row]:
    """Those that work for somebody; the others are on the page of pools."""
    async with services.database.begin() as tx:
        found = [one for one in await reading.machines(tx) if one["session"] is not None]
    return await services.rights.visible(visitor.standing, found)
