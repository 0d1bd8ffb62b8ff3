"""What happened: who did what, where, and what was refused."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response

from bot.govern.audited import LISTED_MAX
from bot.web.auditing import listed, wanted_by
from bot.web.rendering import page
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/audit")
SHOWN_MAX = 50
"""On a page."""
PAGES_MAX = (LISTED_MAX - 1) // SHOWN_MAX
DAYS_MAX = 400
BODY_CHARACTERS_MAX = 300
"""Of what else is known of one event; all of it is in the export."""
GOOD = frozenset({"done", "allowed", "succeeded"})
Word = Annotated[str, Query(max_length=200)]


@router.get("")
async def show(
    *,
    visitor: Known,
    services: Provided,
    kind: Word = "",
    person: Word = "",
    project: Word = "",
    session: Word = "",
    days: Annotated[int, Query(ge=1, le=DAYS_MAX)] = 1,
    number: Annotated[int, Query(alias="page", ge=1, le=PAGES_MAX)] = 1,
    until: datetime | None = None,
) -> Response:
    """The last days a page at a time, the newest first, and a way to take all of them away.

    :param until: when the first page was read: what happened since moves nothing to another one
    """
    asked = {"kind": kind, "person": person, "project": project, "session": session}
    now = until or datetime.now(UTC)
    since = now - timedelta(days=days)
    wanted = await wanted_by(
        visitor,
        services,
        since=since,
        until=until,
        kind=kind,
        person=person,
        project=project,
        session=session,
    )
    found = await listed(services, wanted, limit=number * SHOWN_MAX + 1)
    events = found["events"][(number - 1) * SHOWN_MAX :]
    given = {name: value for name, value in asked.items() if value}
    return page(
        "audit.html",
        visitor,
        events=[_shown(event) for event in events[:SHOWN_MAX]],
        more=len(events) > SHOWN_MAX,
        number=number,
        pages_max=PAGES_MAX,
        pages=urlencode({**given, "days": days, "until": now.isoformat()}),
        asked=asked,
        days=days,
        query=urlencode(given),
        export=urlencode({**given, "since": since.isoformat(timespec="seconds")}),
    )


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    facts = ", ".join(f"{name} {value}" for name, value in event["body"].items() if value != "")
    if len(facts) > BODY_CHARACTERS_MAX:
        facts = f"{facts[:BODY_CHARACTERS_MAX]} …"
    return {**event, "facts": facts, "good": event["outcome"] in GOOD}
