"""The machines and their hosts."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from bot.govern.access import Act
from bot.store.transaction import Transaction
from bot.web import machines, reading
from bot.web.rendering import by_htmx, page, told
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/machines")


@router.get("")
async def show(visitor: Known, services: Provided) -> Response:
    """Every machine of a session that is not gone."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await _of_sessions(tx)
        hosts = await reading.hosts(tx)
    return page("machines.html", visitor, machines=found, hosts=hosts)


@router.get("/list")
async def show_list(request: Request, visitor: Known, services: Provided) -> Response:
    """The list alone, for the script that keeps it fresh."""
    visitor.require(Act.SEE)
    if not by_htmx(request):
        return RedirectResponse("/machines", status_code=303)
    async with services.database.begin() as tx:
        found = await _of_sessions(tx)
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
    visitor.require(Act.MACHINES)
    async with services.database.begin() as tx:
        _, said = await machines.ask(tx, machine, request_)
    return told(request, said, back="/machines")


async def _of_sessions(tx: Transaction) -> list[reading.Row]:
    """Those that work for somebody; the others are on the page of pools."""
    return [one for one in await reading.machines(tx) if one["session"] is not None]
