"""The audit: what happened, whether the record of it is whole, and a copy to take away."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import StreamingResponse

from bot.govern import audited, verifying
from bot.govern.access import Act
from bot.govern.audit import record
from bot.govern.audited import Wanted
from bot.web import governing
from bot.web.auditing import listed, wanted_by
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/audit", tags=["audit"])
VERIFY_SECONDS = 5.0
"""How long one request looks at the chain."""


async def _wanted(
    *,
    visitor: Known,
    services: Provided,
    since: Annotated[datetime | None, Query(description="from this time on")] = None,
    until: Annotated[datetime | None, Query(description="before this time")] = None,
    session: Annotated[str | None, Query(description="short id")] = None,
    project: Annotated[str | None, Query(description="name")] = None,
    person: Annotated[str | None, Query(description="name or id")] = None,
    kind: Annotated[str | None, Query(description="such as `token`, or `token.made`")] = None,
) -> Wanted:
    return await wanted_by(
        visitor,
        services,
        since=since,
        until=until,
        session=session,
        project=project,
        person=person,
        kind=kind,
    )


Asked = Annotated[Wanted, Depends(_wanted)]


@router.get("", response_model=governing.Audit)
async def list_audit(
    wanted: Asked,
    services: Provided,
    limit: Annotated[int, Query(ge=1, le=audited.LISTED_MAX)] = 100,
) -> object:
    """What happened, the newest first; of the last day unless a time or a session is named."""
    return await listed(services, wanted, limit=limit)


@router.get("/export", response_class=StreamingResponse)
async def export_audit(wanted: Asked, visitor: Known, services: Provided) -> StreamingResponse:
    """All of it as JSON lines, the oldest first; that somebody took it is audited too."""
    async with services.database.begin() as tx:
        await record(tx, visitor.did("audit.exported", body=wanted.shown))
    rows = audited.exported(services.database, wanted)
    return StreamingResponse(rows, media_type="application/x-ndjson")


@router.get("/head", response_model=governing.Head)
async def show_head(visitor: Known, services: Provided) -> object:
    """The newest batch of the chain: keep it elsewhere, and verify against it later."""
    visitor.require(Act.AUDIT)
    async with services.database.begin() as tx:
        return vars(await verifying.head(tx))


@router.get("/verify", response_model=governing.Verified)
async def verify(
    visitor: Known,
    services: Provided,
    after: Annotated[int | None, Query(ge=0, description="a batch; none: the start")] = None,
    head: Annotated[
        str | None, Query(pattern=r"^\d{1,18}:[0-9a-f]{64}$", description="NUMBER:DIGEST, as kept")
    ] = None,
) -> object:
    """Recompute the chain for some seconds; go on behind `through` until it is `done`."""
    visitor.require(Act.AUDIT)
    found = await verifying.Verifier(services.database).look(after=after, seconds=VERIFY_SECONDS)
    async with services.database.begin() as tx:
        problem = found.problem
        if head is not None and not problem:
            number, _, digest = head.partition(":")
            kept = verifying.Head(number=int(number), digest=digest)
            problem = await verifying.check_head(tx, kept)
        waiting = await verifying.unsealed(tx)
    return {**vars(found), "problem": problem, "unsealed": waiting}
