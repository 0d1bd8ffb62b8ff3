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
from bot.work.queue import Again, Event, LockedSession, append_events, enqueue


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
    *,
    said: str,
    kind: str,
    thread_id: UUID,
    surface: str,
    join: bool = True,
    front: bool = False,
    interrupts: bool = True,
    resembles: str | None = None,
    asker: str = "",
    language: str = "",
    ref: str = "",
    chosen: Chosen | None = None,
    kept_back: bool = False,
    read_only: bool = False,
    again: Again | None = None,
) -> Added:
    """Queue `said` in the locked session and announce it; the delivery of it is the caller's.

    :param join: the author's last text that still waits takes it in
    :param front: `now:` interrupts the running turn, goes first, and lets a held queue go on
    :param interrupts: what goes first does so too
    :param resembles: the command that it may have been meant as
    :param asker: the author as the surface of the thread calls them
    :param language: the shipped locale in which the author is answered
    :param ref: the message as the surface calls it, where it bears our reactions
    :param chosen: what the session works on and why, when it was opened for this
    :param kept_back: what its turn leaves is delivered by a later prompt
    :param read_only: its turn changes nothing outside of its machine
    :param again: the prompt that it repeats, and with which agent and model
    """
    put = await enqueue(
        tx,
        session,
        author_id=actor.id,
        kind=kind,
        thread_id=thread_id,
        size_bytes=len(said.encode("utf-8", "replace")),
        join=join,
        front=front,
        asker=asker,
        language=language,
        kept_back=kept_back,
        read_only=read_only,
        again=again,
    )
    interrupting = front and interrupts
    interrupted = interrupting and await control.interrupt(tx, session, actor)
    held = session.state is SessionState.HELD
    if interrupting and held:
        await control.resume(tx, session.id, actor)
    queued = await control.open_prompts(tx, session.id)
    place = [row["id"] for row in queued].index(put.prompt_id) + 1
    body: dict[str, Any] = {
        "prompt": put.prompt_id,
        "author": actor.id,
        "name": actor.name,
        "text": said,
        "kind": kind,
        "position": put.position,
        "place": place,
        "surface": surface,
        "asked_in": thread_id,
        "language": language,
        "ref": ref,
    }
    if read_only:
        body["read_only"] = True
    if again is not None:
        named = {"agent": again.agent, "model": again.model}
        body |= {name: value for name, value in named.items() if value}
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
