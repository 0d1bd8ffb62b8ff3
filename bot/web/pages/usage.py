"""What models cost: by session, person, project, day or model."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from bot.web import spending
from bot.web.rendering import page
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/usage")
Shown = Literal["session", "person", "project", "day", "model"]
SHOWN: tuple[tuple[Shown, str], ...] = (
    ("session", "Sessions"),
    ("person", "People"),
    ("project", "Projects"),
    ("day", "Days"),
    ("model", "Models"),
)
DAYS_MAX = 366


@router.get("")
async def show(
    visitor: Known,
    services: Provided,
    by: Shown = "session",
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 30,
) -> Response:
    """What was used in the last days."""
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    found = await spending.look(visitor, services, by, since=since)
    return page("usage.html", visitor, found=found, shown=SHOWN, days=days)
