"""Sessions: reading them, their queue and questions, and what people do to them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query

from bot.errors import NotFound
from bot.govern.access import Act
from bot.store.states import SessionState
from bot.web import answering, reading, shapes
from bot.web.adding import find_project
from bot.web.saying import refusal, say
from bot.web.visitor import Deleter, Known, Prompter, Provided, Reader, Stopper
from bot.work import control, deleting, pulls
from bot.work.queue import lock_session
from bot.work.titling import give_title
from bot.work.undo import UNDO

router = APIRouter(prefix="/sessions", tags=["sessions"])


@router.get("", response_model=shapes.Sessions)
async def list_sessions(
    *,
    visitor: Known,
    services: Provided,
    limit: Annotated[int, Query(ge=1, le=reading.SESSIONS_MAX)] = 50,
    project: str | None = None,
    state: SessionState | None = None,
    before: Annotated[
        datetime | None, Query(description="`active_at` of the last one you have")
    ] = None,
) -> object:
    """Sessions, the one that was active last first."""
    visitor.require(Act.SEE)
    if project is not None:
        await find_project(visitor, services, project, Act.SEE)
    async with services.database.begin() as tx:
        found = await reading.sessions(tx, limit=limit, project=project, state=state, before=before)
    return {"sessions": await services.rights.visible(visitor.standing, found)}


@router.get("/{short}", response_model=shapes.Session)
async def show_session(short: str, visitor: Reader, services: Provided) -> object:
    """One session."""
    async with services.database.begin() as tx:
        return await reading.session(tx, short)


@router.patch("/{short}", response_model=shapes.Told)
async def change_session(
    short: str, change: shapes.SessionChange, visitor: Prompter, services: Provided
) -> shapes.Told:
    """Give a session another title; its threads that have names are called so too."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        return shapes.Told(text=await give_title(tx, session_id, visitor.actor, change.title))


@router.get("/{short}/queue", response_model=shapes.Queue)
async def show_queue(short: str, visitor: Reader, services: Provided) -> object:
    """What waits in a session, in the order in which it will run."""
    async with services.database.begin() as tx:
        session = await reading.session(tx, short)
        queued = await reading.queue(tx, session["id"])
        before = await reading.place(tx, session["id"])
    return {"state": session["state"], "sessions_before": before, "prompts": queued}


@router.delete("/{short}/prompts/{number}", response_model=shapes.Told)
async def cancel_prompt(
    short: str,
    number: int,
    visitor: Stopper,
    services: Provided,
    prompt: Annotated[
        UUID | None, Query(description="only if this prompt is still at that place")
    ] = None,
) -> shapes.Told:
    """Cancel the queued prompt at a place, counted from 1."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        if prompt is not None:
            await lock_session(tx, session_id)
            queued = await reading.queue(tx, session_id)
            if not any(row["id"] == prompt and row["place"] == number for row in queued):
                raise NotFound(
                    f"that prompt is not at place {number} any more",
                    kept="nothing was cancelled",
                    do="look at the queue again",
                )
        said = await control.cancel(tx, session_id, visitor.actor, number)
    return shapes.Told(text=said)


@router.post("/{short}/stop", response_model=shapes.Told)
async def stop(
    short: str, visitor: Stopper, services: Provided, how: shapes.Stop | None = None
) -> shapes.Told:
    """End the running turn and hold the queue, or clear it too."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        clear = how is not None and how.clear
        return shapes.Told(text=await control.stop(tx, session_id, visitor.actor, clear=clear))


@router.post("/{short}/resume", response_model=shapes.Told)
async def resume(short: str, visitor: Stopper, services: Provided) -> shapes.Told:
    """Let a held queue go on."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        return shapes.Told(text=await control.resume(tx, session_id, visitor.actor))


@router.post("/{short}/undo", status_code=202, response_model=shapes.AcceptedPrompt)
async def undo(
    *,
    short: str,
    visitor: Prompter,
    services: Provided,
    idempotency_key: Annotated[
        str, Header(max_length=500, description="the same for every attempt to take back the same")
    ] = "",
) -> shapes.AcceptedPrompt:
    """Take the last turn back, its files and its branch; it runs as a turn of its own."""
    accepted = await say(services, visitor, UNDO, surface="api", key=idempotency_key, session=short)
    if accepted.verdict == "refused":
        raise refusal(accepted)
    return shapes.AcceptedPrompt(
        verdict="prompt",
        text=accepted.text,
        session=accepted.session,
        prompt=accepted.prompt_id,
        event=accepted.event,
        duplicate=accepted.duplicate,
    )


@router.post("/{short}/clear", response_model=shapes.Told)
async def clear(short: str, visitor: Stopper, services: Provided) -> shapes.Told:
    """Cancel what is queued; a running turn goes on."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        return shapes.Told(text=await control.clear(tx, session_id, visitor.actor))


@router.delete("/{short}", status_code=202, response_model=shapes.Told)
async def delete_session(short: str, visitor: Deleter, services: Provided) -> shapes.Told:
    """Delete a session with its events, files, checkpoints and machine; a tombstone stays."""
    async with services.database.begin() as tx:
        await deleting.delete(tx, await reading.session_id(tx, short), visitor.actor)
    return shapes.Told(text=deleted(short))


def deleted(short: str) -> str:
    """What is said of a session that is being deleted."""
    return f"Session {short} is being deleted; it is gone when its machine is destroyed."


@router.get("/{short}/questions", response_model=shapes.Questions)
async def list_questions(short: str, visitor: Reader, services: Provided) -> object:
    """What the session's turns asked, the newest first."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        return {"questions": await reading.questions(tx, session_id)}


@router.get("/{short}/pull-requests", response_model=shapes.PullRequests)
async def list_pull_requests(short: str, visitor: Reader, services: Provided) -> object:
    """The session's pull requests, the oldest first, with what became of them."""
    async with services.database.begin() as tx:
        session_id = await reading.session_id(tx, short)
        return {"pull_requests": await pulls.of_session(tx, session_id)}


@router.post("/{short}/questions/{question}/answer", response_model=shapes.Told)
async def answer_question(
    short: str, question: UUID, answer: shapes.Answer, visitor: Prompter, services: Provided
) -> shapes.Told:
    """Answer an open question."""
    await answering.answer(visitor, services, short, question, answer.text)
    return shapes.Told(text="Your answer was handed over.")
