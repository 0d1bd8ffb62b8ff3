"""What happened: who did what, where, and what was refused."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import Response

from bot.web.auditing import listed, wanted_by
from bot.web.rendering import page
from bot.web.visitor import Known, Provided

router = APIRouter(prefix="/audit")
SHOWN_MAX = 200
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
) -> Response:
    """The newest of the last days, the newest first, and a way to take all of them away."""
    asked = {"kind": kind, "person": person, "project": project, "session": session}
    since = datetime.now(UTC) - timedelta(days=days)
    wanted = await wanted_by(
        visitor,
        services,
        since=since,
        kind=kind,
        person=person,
        project=project,
        session=session,
    )
    found = await listed(services, wanted, limit=SHOWN_MAX + 1)
    given = {name: value for name, value in asked.items() if value}
    return page(
        "audit.html",
        visitor,
        events=[_shown(event) for event in found["events"][:SHOWN_MAX]],
        more=len(found["events"]) > SHOWN_MAX,
        shown_max=SHOWN_MAX,
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
