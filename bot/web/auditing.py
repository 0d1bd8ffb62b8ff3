"""The audit as the API and the page ask for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.govern import audited, people
from bot.govern.access import Act
from bot.govern.audited import EVER, NEVER, Wanted
from bot.govern.projects import get_project
from bot.web.services import Services
from bot.web.visitor import Visitor

LISTED_HOURS = 24
"""How far back a list goes that names no time."""


async def wanted_by(
    visitor: Visitor,
    services: Services,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    session: str | None = None,
    project: str | None = None,
    person: str | None = None,
    kind: str | None = None,
) -> Wanted:
    """What a visitor asks for; what is empty is not asked for.

    :param person: name or id
    :raises OnaError: they may not read it, or nobody or no project is called so
    """
    visitor.require(Act.AUDIT)
    person_id = None
    async with services.database.begin() as tx:
        if person:
            person_id = (await people.find_person(tx, person)).person_id
        if project:
            await get_project(tx, project)
    return Wanted(
        viewer=visitor.id,
        since=_moment(since) or EVER,
        until=_moment(until) or NEVER,
        session=session or None,
        project=project or None,
        person=person_id,
        kind=kind or None,
    )


async def listed(services: Services, wanted: Wanted, *, limit: int) -> dict[str, Any]:
    """The newest first; of the last day unless a time or a session is named."""
    if wanted.since == EVER and wanted.session is None:
        since = datetime.now(UTC) - timedelta(hours=LISTED_HOURS)
        wanted = Wanted(**{**vars(wanted), "since": since})
    async with services.database.begin() as tx:
        found = await audited.listed(tx, wanted, limit=limit)
    return {"events": found, "since": wanted.since}


def _moment(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
