"""Usage of models: what it cost, by whom and for what."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from bot.govern import people
from bot.govern.usage import By
from bot.web import spending
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/usage", tags=["usage"])


@router.get("", response_model=spending.Usage)
async def show_usage(
    *,
    visitor: Known,
    services: Provided,
    by: By = "session",
    since: Annotated[date | None, Query(description="from this day on (UTC)")] = None,
    until: Annotated[date | None, Query(description="before this day (UTC)")] = None,
    project: Annotated[str | None, Query(description="name")] = None,
    session: Annotated[str | None, Query(description="short id")] = None,
    person: Annotated[str | None, Query(description="name or id")] = None,
) -> object:
    """What was used of models, in the projects that you may see."""
    person_id = None
    if person is not None:
        async with services.database.begin() as tx:
            person_id = (await people.find_person(tx, person)).person_id
    return await spending.look(
        visitor,
        services,
        by,
        since=since,
        until=until,
        project=project,
        session=session,
        person=person_id,
    )
