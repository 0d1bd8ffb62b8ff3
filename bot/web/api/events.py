"""A session's events: in pages, or live as server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from bot.web import reading, shapes
from bot.web.following import HEARTBEAT, EventStream, follow, message
from bot.web.services import Services
from bot.web.visitor import Provided, Reader

NUMBER_LENGTH_MAX = 18
"""More digits are no number of an event."""
router = APIRouter(prefix="/sessions", tags=["events"])


@router.get(
    "/{short}/events",
    response_model=shapes.Events,
    responses={
        200: {
            "content": {"text/event-stream": {}},
            "description": "A page of events; with `Accept: text/event-stream` a live stream of "
            "them, each with its number as id, that goes on after `Last-Event-ID` or `after`.",
        }
    },
)
async def list_events(
    *,
    short: str,
    request: Request,
    visitor: Reader,
    services: Provided,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=reading.EVENTS_MAX)] = 100,
    accept: Annotated[str, Header()] = "",
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """The events after a number."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        if "text/event-stream" not in accept:
            found = await reading.events(tx, session_id, after=after, limit=limit)
            last = found[-1].number if found else after
            return JSONResponse({"events": [_as_json(event) for event in found], "last": last})
    after = go_on_after(after, last_event_id)
    source = _live(services, session_id, after)
    return EventStream(source, request.app.state.streams)


def go_on_after(after: int, last_event_id: str) -> int:
    """Where a reader goes on: a browser that reconnects repeats the address it began with."""
    number = last_event_id if len(last_event_id) <= NUMBER_LENGTH_MAX else ""
    return max(after, int(number)) if number.isascii() and number.isdigit() else after


async def _live(services: Services, session_id: UUID, after: int) -> AsyncIterator[str]:
    async for batch in follow(services, session_id, after):
        if not batch:
            yield HEARTBEAT
        for event in batch:
            yield message(json.dumps(_as_json(event)), number=event.number)


def _as_json(event: reading.StoredEvent) -> dict[str, object]:
    return {
        "number": event.number,
        "turn": None if event.turn is None else str(event.turn),
        "kind": event.kind,
        "body": dict(event.body),
        "at": event.at.isoformat(),
    }
