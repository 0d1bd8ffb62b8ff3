"""Putting a prompt into a session's queue, and what its author hears at once."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from bot.conversation import words
from bot.conversation.choosing import Chosen
from bot.govern import halting
from bot.govern.halt import Halt, halted
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.work import control
from bot.work.control import Actor
from bot.work.queue import Enqueued, Event, LockedSession, NewPrompt, append_events, enqueue


@dataclass(frozen=True, kw_only=True)
class Added:
    """A prompt that is in the queue, or that another one took in."""

    prompt_id: UUID
    joined: bool
    event: int
    """Number of the event that announced it."""
    told: str
    halt: Halt | None = None
    """Why it waits, whatever else does."""


async def add_prompt(
    tx: Transaction,
    session: LockedSession,
    actor: Actor,
    new: NewPrompt,
    *,
    surface: str,
    ref: str = "",
    chosen: Chosen | None = None,
    interrupts: bool = True,
    resembles: str | None = None,
) -> Added:
    """Queue a prompt in the locked session and announce it; its delivery is the caller's.

    :param ref: the message as the surface calls it, where it bears our reactions
    :param chosen: what the session works on and why, when it was opened for this
    :param interrupts: what goes first interrupts the running turn, and lets a held queue go on
    :param resembles: the command that it may have been meant as
    """
    put = await enqueue(tx, session, new, author_id=actor.id)
    interrupting = new.front and interrupts
    interrupted = interrupting and await control.interrupt(tx, session, actor)
    held = session.state is SessionState.HELD
    if interrupting and held:
        await control.resume(tx, session.id, actor)
    queued = await control.open_prompts(tx, session.id)
    place = [row["id"] for row in queued].index(put.prompt_id) + 1
    body = {**_said_of(new, put, actor), "place": place, "surface": surface, "ref": ref}
    if chosen is not None:
        body |= {"project": chosen.project["name"], "why": chosen.why, "others": chosen.others}
    event = Event(kind="prompt.joined" if put.joined else "prompt.queued", body=body)
    number = await append_events(tx, session.id, [event])
    halt = halted(await halting.read(tx), project_id=session.project_id, person_id=actor.id)
    told = words.accepted(
        place=place,
        joined=put.joined,
        interrupted=interrupted,
        running=session.state is SessionState.RUNNING,
        held=held and not interrupting,
        resumed=len(queued) - 1 if held and interrupting else 0,
        resembles=resembles,
    )
    if halt is not None:
        told = words.halted(halt.told, before=told)
    return Added(prompt_id=put.prompt_id, joined=put.joined, event=number, told=told, halt=halt)


def _said_of(new: NewPrompt, put: Enqueued, actor: Actor) -> dict[str, Any]:
    """What the event that announces a prompt says of the prompt itself; pure."""
    body: dict[str, Any] = {
        "prompt": put.prompt_id,
        "author": actor.id,
        "name": actor.name,
        "text": new.said,
        "kind": new.kind,
        "position": put.position,
        "asked_in": new.thread_id,
        "language": new.language,
    }
    if new.read_only:
        body["read_only"] = True
    if new.again is not None:
        named = {"agent": new.again.agent, "model": new.again.model}
        body |= {name: value for name, value in named.items() if value}
    return body
