"""The first-run checklist."""

from fastapi import APIRouter
from fastapi.responses import Response

from bot.govern.access import Act
from bot.govern.agents import agents_of
from bot.store.ids import new_id
from bot.web import reading
from bot.web.rendering import page
from bot.web.visitor import Known, Provided

router = APIRouter()


@router.get("/setup")
async def show(visitor: Known, services: Provided) -> Response:
    """Each step: done or not, what to do; any can be skipped and repeated."""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        found = await reading.projects(tx)
        hosts = await reading.hosts(tx)
        progress = await reading.progress(tx)
    found = await services.rights.visible(visitor.standing, found, key="id")
    return page(
        "setup.html",
        visitor,
        projects=found,
        hosts=hosts,
        progress=progress,
        key=str(new_id()),
        agents=agents_of(services.settings),
    )
