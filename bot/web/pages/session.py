"""One session: its live log, its queue, its question, and what people do to it."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Header, Query, Request
from fastapi.responses import RedirectResponse, Response

from bot.errors import NotFound, Refused
from bot.govern import halting
from bot.govern.halt import Halt, halted
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.web import answering, reading
from bot.web.api.events import go_on_after
from bot.web.following import HEARTBEAT, EventStream, follow, message
from bot.web.reading import StoredEvent
from bot.web.rendering import Shower, by_htmx, fragment, page, show_all, told
from bot.web.saying import refusal, say
from bot.web.services import Services
from bot.web.visitor import Deleter, Prompter, Provided, Reader, Stopper
from bot.words.titles import TITLE_CHARACTERS_MAX
from bot.work import control, deleting, pulls
from bot.work.queue import lock_session
from bot.work.titling import give_title
from bot.work.undo import UNDO

router = APIRouter(prefix="/sessions/{short}")
SHOWN_EVENTS = 300
"""How many of the last events a page begins with."""


@router.get("")
async def show(short: str, visitor: Reader, services: Provided) -> Response:
    """The session as far as it came; the stream goes on after the last event shown."""
    async with services.database.begin() as tx:
        session = await reading.session(tx, short)
        last = session["event_last"]
        found = await reading.events_before(tx, session["id"], before=last + 1, limit=SHOWN_EVENTS)
        side = await _side(tx, session)
    return page(
        "session.html",
        visitor,
        **side,
        shown=show_all(found),
        first=found[0].number if found else 1,
        last=found[-1].number if found else 0,
        key=str(new_id()),
        text="",
        said=None,
        title_characters_max=TITLE_CHARACTERS_MAX,
    )


@router.get("/side")
async def show_side(short: str, visitor: Reader, services: Provided, seen: str = "") -> Response:
    """State, question, queue and machine; 204 when the page shows just this already."""
    async with services.database.begin() as tx:
        side = await _side(tx, await reading.session(tx, short))
    if side["digest"] == seen:
        return Response(status_code=204)
    return page("_side.html", visitor, **side)


@router.get("/earlier")
async def show_earlier(
    short: str, visitor: Reader, services: Provided, before: Annotated[int, Query(ge=1)]
) -> Response:
    """Lines before those that the page began with."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        found = await reading.events_before(tx, session_id, before=before, limit=SHOWN_EVENTS)
    first = found[0].number if found else 1
    return page("_earlier.html", visitor, short=short, shown=show_all(found), first=first)


@router.get("/live")
async def live(
    *,
    short: str,
    request: Request,
    visitor: Reader,
    services: Provided,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """The lines after a number as they come, ready to be put into the page."""
    after = go_on_after(after, last_event_id)
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        before = await reading.events_before(tx, session_id, before=after + 1, limit=SHOWN_EVENTS)
    source = _lines(services, session_id, after, before)
    return EventStream(source, request.app.state.streams)


async def _lines(
    services: Services, session_id: UUID, after: int, before: list[StoredEvent]
) -> AsyncIterator[str]:
    shower = Shower(before)
    async for batch in follow(services, session_id, after):
        if not batch:
            yield HEARTBEAT
        for event in batch:
            parts = [fragment(name, one=one) for name, one in shower.live(event)]
            yield message("".join(parts), number=event.number)


@router.get("/pictures/{picture}")
async def show_picture(short: str, picture: UUID, visitor: Reader, services: Provided) -> Response:
    """A picture that the agent posted; its bytes were looked at when it came in."""
    async with services.database.begin() as tx:
        media_type, data = await reading.picture(tx, short, picture)
    return Response(data, media_type=media_type, headers={"cache-control": "private, max-age=3600"})


@router.post("/prompts")
async def ask(
    *,
    short: str,
    request: Request,
    visitor: Prompter,
    services: Provided,
    text: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> Response:
    """Say something in this session; a refused text stays in the box."""
    accepted = await say(services, visitor, text, surface="web", key=key, session=short)
    refused = accepted.verdict == "refused"
    if not by_htmx(request) and not refused:
        return RedirectResponse(f"/sessions/{short}", status_code=303)
    return page(
        "_ask.html" if by_htmx(request) else "refused.html",
        visitor,
        headers={"HX-Trigger": "onachanged"},
        session={"short": short},
        key=str(new_id()),
        text=text if refused else "",
        said={"text": accepted.text, "tone": "bad" if refused else "good"},
    )


@router.post("/title")
async def retitle(
    *,
    short: str,
    request: Request,
    visitor: Prompter,
    services: Provided,
    title: Annotated[str, Form(max_length=2_000)] = "",
) -> Response:
    """Give the session another title."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        said = await give_title(tx, session_id, visitor.actor, title)
    return told(request, said, back=f"/sessions/{short}")


@router.post("/stop")
async def stop(short: str, request: Request, visitor: Stopper, services: Provided) -> Response:
    """End the running turn and hold the queue."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        said = await control.stop(tx, session_id, visitor.actor)
    return told(request, said, back=f"/sessions/{short}")


@router.post("/resume")
async def resume(short: str, request: Request, visitor: Stopper, services: Provided) -> Response:
    """Let a held queue go on."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        said = await control.resume(tx, session_id, visitor.actor)
    return told(request, said, back=f"/sessions/{short}")


@router.post("/undo")
async def undo(short: str, request: Request, visitor: Prompter, services: Provided) -> Response:
    """Take the last turn back."""
    accepted = await say(services, visitor, UNDO, surface="web", session=short)
    if accepted.verdict == "refused":
        raise refusal(accepted)
    return told(request, accepted.text, back=f"/sessions/{short}")


@router.post("/clear")
async def clear(short: str, request: Request, visitor: Stopper, services: Provided) -> Response:
    """Cancel what is queued."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        said = await control.clear(tx, session_id, visitor.actor)
    return told(request, said, back=f"/sessions/{short}")


@router.post("/delete")
async def delete(
    short: str,
    visitor: Deleter,
    services: Provided,
    sure: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Delete the session, when its short id was typed to confirm it."""
    if sure.strip() != short:
        raise Refused(
            f"to delete session {short}, type its name into the field beside the button",
            kept="nothing was deleted",
        )
    async with services.database.begin() as tx:
        await deleting.delete(tx, await reading.session_id(tx, short), visitor.actor)
    return RedirectResponse("/", status_code=303)


@router.post("/prompts/{prompt}/cancel")
async def cancel(
    short: str, prompt: UUID, request: Request, visitor: Stopper, services: Provided
) -> Response:
    """Cancel one queued prompt, wherever in the queue it is by now."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        await lock_session(tx, session_id)
        places = {row["id"]: row["place"] for row in await reading.queue(tx, session_id)}
        if prompt not in places:
            raise NotFound("that prompt does not wait any more", kept="nothing was cancelled")
        said = await control.cancel(tx, session_id, visitor.actor, places[prompt])
    return told(request, said, back=f"/sessions/{short}")


@router.post("/questions/{question}")
async def answer(
    *,
    short: str,
    question: UUID,
    request: Request,
    visitor: Prompter,
    services: Provided,
    text: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Answer the open question."""
    await answering.answer(visitor, services, short, question, text)
    return told(request, "Your answer was handed over.", back=f"/sessions/{short}")


async def _halt(tx: Transaction, session: dict[str, Any]) -> Halt | None:
    """Why nothing of it is run, as far as an operator wants it."""
    waiting = await reading.queue(tx, session["id"])
    asker = waiting[0]["author_id"] if waiting else None
    return halted(await halting.read(tx), project_id=session["project_id"], person_id=asker)


async def _side(tx: Transaction, session: dict[str, Any]) -> dict[str, Any]:
    asked = await reading.questions(tx, session["id"])
    side = {
        "session": session,
        "queue": await reading.queue(tx, session["id"]),
        "pulls": await pulls.of_session(tx, session["id"]),
        "before": await reading.place(tx, session["id"]),
        "question": next((one for one in asked if one["state"] == "open"), None),
        "machine": None,
        "halt": await _halt(tx, session),
    }
    if session["machine_id"] is not None:
        side["machine"] = await reading.machine(tx, str(session["machine_id"]))
    whole = fragment("_side.html", csrf="", digest="", **side)
    return {**side, "digest": hashlib.sha256(whole.encode()).hexdigest()[:16]}
