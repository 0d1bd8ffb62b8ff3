"""What pages and API tell of what models cost: usage of what somebody may see."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from pydantic import Field

from adapters.forge.port import Permission
from bot.govern import usage
from bot.govern.access import Act
from bot.govern.prices import LISTED
from bot.govern.rights import to_see
from bot.govern.usage import By, Wanted
from bot.web import reading
from bot.web.services import Services
from bot.web.shapes import Given
from bot.web.visitor import Visitor
from bot.words.amounts import MICRO


class Used(Given):
    """What was used, by one session, person, project, day, model or turn."""

    key: str | None = Field(description="short id, id, name or date; none: deleted, or private")
    name: str | None = Field(description="title or name of it")
    requests: int
    cost_usd: float
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    is_estimated: bool = Field(description="a request of it was cut, so its cost is an estimate")


class Usage(Given):
    """What was used, the dearest first; by day the newest first."""

    by: By
    since: date | None
    until: date | None
    cost_usd: float = Field(description="of all rows together")
    prices_listed: date = Field(description="when the built-in prices were looked up")
    usage: list[Used]


async def look(
    visitor: Visitor,
    services: Services,
    by: By,
    *,
    since: date | None = None,
    until: date | None = None,
    project: str | None = None,
    session: str | None = None,
    person: UUID | None = None,
) -> Mapping[str, Any]:
    """What was used in projects that they may see; `Usage`. :raises NotFound: :raises Refused:"""
    visitor.require(Act.SEE)
    async with services.database.begin() as tx:
        spenders = await usage.spenders(tx)
        only = None if project is None else (await reading.project(tx, project))["id"]
        need = Permission.READ
        if session is not None and only is None:
            whose = await reading.whose(tx, session, visitor.id)
            only, need = whose.project_id, to_see(narrow=whose.narrow)
    if only is not None:
        await services.rights.require(visitor.standing, only, need)
    seen = {row["project_id"] for row in await services.rights.visible(visitor.standing, spenders)}
    narrow = [{**row, "narrow": True} for row in spenders]
    told = {row["project_id"] for row in await services.rights.visible(visitor.standing, narrow)}
    wanted = Wanted(
        viewer=visitor.id,
        projects=seen if only is None else {only},
        told=told,
        since=since,
        until=until,
        session=session,
        person=person,
    )
    async with services.database.begin() as tx:
        rows = await usage.used(tx, by, wanted)
    return {
        "by": by,
        "since": since,
        "until": until,
        "prices_listed": LISTED,
        "cost_usd": float(sum(row["cost_micro"] for row in rows)) / MICRO,
        "usage": [{**row, "cost_usd": float(row["cost_micro"]) / MICRO} for row in rows],
    }
