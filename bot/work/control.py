"""What people do to a session at work: stop, resume, clear, cancel, interrupt.

Each is one transaction that takes the session's row first. A running turn is only asked to stop:
its worker is hinted, ends the job and stores the outcome. What was stopped by somebody else says
by whom.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NotFound, NothingToDo
from bot.store.database import CONTROL, READY
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.amounts import prompts, short
from bot.words.catalogue import gettext as _
from bot.words.catalogue import ngettext
from bot.work.queue import Event, LockedSession, append_events, lock_session, make_ready

SAID_LENGTH_MAX = 60
"""Of a cancelled prompt: enough to tell which it was."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The person who asks."""

    id: UUID
    name: str


_OPEN = text(
    """
    SELECT prompt.id, prompt.author_id, person.name, prompt.kind, prompt.position,
           prompt.created_at,
           (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS text
      FROM prompt JOIN person ON person.id = prompt.author_id
     WHERE prompt.session_id = :session AND prompt.state = 'queued'
     ORDER BY prompt.position
    """
)
_RUNNING = text(
    """
    SELECT turn.id, prompt.author_id, person.name
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
     WHERE turn.session_id = :session AND turn.state = 'running'
    """
)
_RUNS = text(
    """
    SELECT person.name, prompt.kind, turn.started_at, session.state = 'waiting' AS asks,
           (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS text
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
      JOIN session ON session.id = turn.session_id
     WHERE turn.session_id = :session AND turn.state = 'running'
    """
)
_STEP = text(
    """
    SELECT body FROM turn_event
     WHERE session_id = :session AND kind = 'step'
       AND number > (SELECT coalesce(max(number), 0) FROM turn_event
                      WHERE session_id = :session AND kind = 'turn.ended')
     ORDER BY number DESC LIMIT 1
    """
)
_ASK_STOP = text("UPDATE session SET stop = CAST(:stop AS jsonb) WHERE id = :session")
_NOW = text("UPDATE session SET lease_until = NULL WHERE id = :session RETURNING host_id")
_HOLD = text("UPDATE session SET state = 'held', held_by = :by WHERE id = :session")
_IDLE = text("UPDATE session SET state = 'idle', held_by = NULL WHERE id = :session")
_CANCEL = text(
    """
    UPDATE prompt SET state = 'cancelled'
     WHERE session_id = :session AND state = 'queued'
       AND (CAST(:prompt AS uuid) IS NULL OR id = :prompt)
    RETURNING id
    """
)


async def open_prompts(tx: Transaction, session_id: UUID) -> Sequence[Mapping[str, Any]]:
    """The queued prompts in the order in which they will run, with author and first words."""
    rows = await tx.execute(_OPEN, {"session": session_id})
    return [dict(row) for row in rows.mappings()]


async def running_turn(tx: Transaction, session_id: UUID) -> Mapping[str, Any] | None:
    """The turn that runs: `name` of its author, first words in `text`, `started_at`, and `asks`: it
    waits for a person. None: none runs.
    """
    row = (await tx.execute(_RUNS, {"session": session_id})).mappings().one_or_none()
    return None if row is None else dict(row)


async def last_step(tx: Transaction, session_id: UUID) -> Mapping[str, Any]:
    """What was done last so that a turn can begin, as its event says it; empty: nothing yet."""
    return await tx.scalar(_STEP, {"session": session_id}) or {}


async def stop(tx: Transaction, session_id: UUID, by: Actor, *, clear: bool = False) -> str:
    """End the running turn and hold the queue; with `clear` also cancel what is queued.

    :raises NothingToDo: nothing runs and nothing is queued
    """
    session = await _locked(tx, session_id)
    running = (await tx.execute(_RUNNING, {"session": session_id})).one_or_none()
    cleared = await _cancel_all(tx, session_id, by) if clear else 0
    held = await open_prompts(tx, session_id)
    busy = session.state is SessionState.RUNNING or running is not None
    if not busy and not held and not cleared:
        raise NothingToDo(_("nothing is running or queued here"))
    hold = bool(held)
    if busy:
        await _ask_stop(tx, session, by, why="stop", hold=hold)
    elif hold and session.state is SessionState.QUEUED:
        await tx.execute(_HOLD, {"session": session_id, "by": by.id})
    elif not hold and session.state in {SessionState.QUEUED, SessionState.HELD}:
        await tx.execute(_IDLE, {"session": session_id})
    if hold:
        body = {
            "by": by.id,
            "name": by.name,
            "held": [{"prompt": row["id"], "name": row["name"]} for row in held],
        }
        await append_events(tx, session_id, [Event(kind="session.held", body=body)])
    return _stopped_sentence(running, by, held, cleared)


async def interrupt(tx: Transaction, session: LockedSession, by: Actor) -> bool:
    """End the running turn so that the prompt in front goes next; True if one runs."""
    running = (await tx.execute(_RUNNING, {"session": session.id})).one_or_none()
    if running is None and session.state is not SessionState.RUNNING:
        return False
    if running is not None:
        await _ask_stop(tx, session, by, why="now", hold=False)
    return running is not None


async def resume(tx: Transaction, session_id: UUID, by: Actor) -> str:
    """Let a held queue go on. :raises NothingToDo: it is not held."""
    session = await _locked(tx, session_id)
    if session.state is not SessionState.HELD:
        raise NothingToDo(_("the queue is not held"))
    count = len(await open_prompts(tx, session_id))
    await append_events(
        tx, session_id, [Event(kind="session.resumed", body={"by": by.id, "name": by.name})]
    )
    if not count:
        await tx.execute(_IDLE, {"session": session_id})
        return _("Resumed; the queue is empty.")
    await make_ready(tx, session_id)
    return ngettext("Resumed; {count} prompt go on.", "Resumed; {count} prompts go on.", count)


async def clear(tx: Transaction, session_id: UUID, by: Actor) -> str:
    """Cancel every queued prompt; a running turn goes on. :raises NothingToDo: none queued."""
    session = await _locked(tx, session_id)
    count = await _cancel_all(tx, session_id, by)
    if session.state in {SessionState.HELD, SessionState.QUEUED} and not await _open_turn(
        tx, session_id
    ):
        await tx.execute(_IDLE, {"session": session_id})
    if not count:
        raise NothingToDo(_("no prompt is queued"))
    return _("Cleared {prompts}.", prompts=prompts(count))


async def cancel(tx: Transaction, session_id: UUID, by: Actor, number: int) -> str:
    """Cancel the queued prompt at place `number`, counted from 1.

    :raises NotFound: no prompt is at that place
    """
    session = await _locked(tx, session_id)
    queued = await open_prompts(tx, session_id)
    if not 1 <= number <= len(queued):
        raise NotFound(
            _("there is no prompt {number} in the queue", number=number),
            do=_("it holds {prompts}; `queue` lists them", prompts=prompts(len(queued))),
        )
    prompt = queued[number - 1]
    await drop(tx, session, prompt["id"], by)
    said = short(prompt["text"], SAID_LENGTH_MAX)
    return _(
        "Cancelled prompt {number} of {name}: “{text}”.",
        number=number,
        name=prompt["name"],
        text=said,
    )


async def drop(
    tx: Transaction, session: LockedSession, prompt_id: UUID, by: Actor, *, unsaid: bool = False
) -> None:
    """Take one queued prompt out of the locked session.

    :param unsaid: its message was deleted: what it said is not repeated
    """
    await tx.execute(_CANCEL, {"session": session.id, "prompt": prompt_id})
    await append_events(tx, session.id, [_cancelled(prompt_id, by, unsaid=unsaid)])
    waits = session.state in {SessionState.HELD, SessionState.QUEUED}
    left = await open_prompts(tx, session.id)
    if waits and not left and not await _open_turn(tx, session.id):
        await tx.execute(_IDLE, {"session": session.id})


async def _locked(tx: Transaction, session_id: UUID) -> LockedSession:
    session = await lock_session(tx, session_id)
    if session is None:
        raise NotFound(_("this session does not exist"), do=_("`sessions` lists those that do"))
    return session


async def _open_turn(tx: Transaction, session_id: UUID) -> bool:
    return (await tx.execute(_RUNNING, {"session": session_id})).first() is not None


async def _ask_stop(
    tx: Transaction, session: LockedSession, by: Actor, *, why: str, hold: bool
) -> None:
    request = {"by": str(by.id), "name": by.name, "why": why, "hold": hold}
    await tx.execute(_ASK_STOP, {"session": session.id, "stop": json.dumps(request)})
    if session.state is SessionState.WAITING:
        # Nobody runs it now: a worker claims it, sees the request and stores the outcome.
        await make_ready(tx, session.id)
    elif session.state is SessionState.QUEUED:
        # Its turn is open and may wait until its machine is tried again.
        tx.hint(READY, (await tx.execute(_NOW, {"session": session.id})).one().host_id or "")
    tx.hint(CONTROL, session.id)


async def _cancel_all(tx: Transaction, session_id: UUID, by: Actor) -> int:
    rows = (await tx.execute(_CANCEL, {"session": session_id, "prompt": None})).scalars().all()
    if rows:
        body = {"by": by.id, "name": by.name, "count": len(rows)}
        events = [_cancelled(prompt, by) for prompt in rows]
        await append_events(tx, session_id, [*events, Event(kind="session.cleared", body=body)])
    return len(rows)


def _cancelled(prompt: UUID, by: Actor, *, unsaid: bool = False) -> Event:
    body = {"prompt": prompt, "by": by.id, "name": by.name}
    return Event(kind="prompt.cancelled", body={**body, "unsaid": True} if unsaid else body)


def _stopped_sentence(
    running: Any, by: Actor, held: Sequence[Mapping[str, Any]], cleared: int
) -> str:
    parts = []
    if running is not None and running.author_id == by.id:
        parts.append(_("Stopping your turn."))
    elif running is not None:
        parts.append(_("Stopping the turn of {name}.", name=running.name))
    if cleared:
        parts.append(_("Cleared {prompts}.", prompts=prompts(cleared)))
    if held:
        still = ngettext(
            "{count} prompt of {names} held: `resume` lets them go on, `clear` drops them.",
            "{count} prompts of {names} held: `resume` lets them go on, `clear` drops them.",
            len(held),
            names=", ".join(dict.fromkeys(row["name"] for row in held)),
        )
        parts.append(still)
    return " ".join(parts) or _("Stopping.")
