"""The queue: prompts go in by session and position; workers lease sessions.

Every function takes an open transaction and speaks no network. Who enqueues takes the session's
row first (`lock_session`), so positions are commit order. Who works takes it as the holder of the
lease (`hold`): no row means that somebody else claimed the session, and the result is dropped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from bot.store.database import EVENTS, READY
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.states import SessionState
from bot.store.transaction import Rows, Transaction
from bot.words.catalogue import SAID, Message, in_source, kept

SQL = load(Path(__file__).parent / "sql" / "queue.sql")

JOINED_BYTES_MAX = 120_000
"""Of all that is said in one prompt: Linux takes words of up to 131,072 bytes for a command."""
POSITION_STEP = 1024
"""Room in front of a prompt for as many `now:` prompts in a row."""


class LeaseLost(Exception):
    """Somebody else holds the session now: drop the result, write nothing more."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened, as it is stored: a kind and its JSON body."""

    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LockedSession:
    """A session's row as seen while it is locked."""

    id: UUID
    state: SessionState
    agent: str
    project_id: UUID
    creator_id: UUID
    held_by: UUID | None
    stopping: bool


@dataclass(frozen=True, kw_only=True)
class LeaseKey:
    """What a holder must show with every write."""

    session_id: UUID
    owner: str
    token: int


async def lock_session(tx: Transaction, session_id: UUID) -> LockedSession | None:
    """Take the session's row; None if there is no such session."""
    row = (await tx.execute(SQL["lock"], {"session": session_id})).mappings().one_or_none()
    if row is None:
        return None
    return LockedSession(
        id=row["id"],
        state=SessionState(row["state"]),
        agent=row["agent"],
        project_id=row["project_id"],
        creator_id=row["creator_id"],
        held_by=row["held_by"],
        stopping=row["stop"] is not None,
    )


def shown(key: LeaseKey) -> dict[str, Any]:
    """The parameters with which a holder shows its lease."""
    return {"session": key.session_id, "token": key.token, "owner": key.owner}


def must_hold(held: Rows, key: LeaseKey) -> Any:
    """The row that `hold` returned. :raises LeaseLost: it returned none."""
    row = held.one_or_none()
    if row is None:
        raise LeaseLost(f"session {key.session_id}, token {key.token}")
    return row


async def hold(tx: Transaction, key: LeaseKey) -> Any:
    """Take the session's row as its holder; `state` and `stop` of it. :raises LeaseLost:."""
    return must_hold(await tx.execute(SQL["hold"], shown(key)), key)


async def append_events(
    tx: Transaction,
    session_id: UUID,
    events: Sequence[Event],
    *,
    turn_id: UUID | None = None,
) -> int:
    """Append what people did to a session, or what happened to it; returns the last number."""
    last = await _append(tx, session_id, None, events, turn_id)
    if last is None:
        raise ValueError(f"there is no session {session_id}, or nothing to append")
    return last


async def append_held(
    tx: Transaction, key: LeaseKey, events: Sequence[Event], *, turn_id: UUID | None = None
) -> int:
    """Append what the holder of the lease did; returns the last number. :raises LeaseLost:."""
    last = await _append(tx, key.session_id, key, events, turn_id)
    if last is None:
        raise LeaseLost(f"session {key.session_id}, token {key.token}")
    return last


def columns(events: Sequence[Event]) -> dict[str, list[str]]:
    """The parameters with which a statement takes events."""
    return {
        "kinds": [event.kind for event in events],
        "bodies": [json.dumps(_stored(event.body), default=str) for event in events],
    }


def _stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """What an event keeps: sentences of ours in English, and under SAID how to say them again."""
    ours = {name: value for name, value in body.items() if _is_ours(value)}
    if not ours:
        return dict(body)
    said = {name: _each(kept, value) for name, value in ours.items()}
    return {
        **body,
        **{name: _each(in_source, value) for name, value in ours.items()},
        SAID: said,
    }


def _is_ours(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, Message) for one in value)
    return isinstance(value, Message)


def _each(make: Callable[[Message], Any], value: Any) -> Any:
    return [make(one) for one in value] if isinstance(value, list) else make(value)


async def _append(
    tx: Transaction,
    session_id: UUID,
    key: LeaseKey | None,
    events: Sequence[Event],
    turn_id: UUID | None,
) -> int | None:
    numbers = (
        await tx.execute(
            SQL["append"],
            {
                "session": session_id,
                "turn": turn_id,
                "token": key and key.token,
                "owner": key and key.owner,
                **columns(events),
            },
        )
    ).scalars()
    last: int | None = max(numbers, default=None)
    if last is not None:
        tx.hint(EVENTS, session_id)
    return last


@dataclass(frozen=True, kw_only=True)
class Again:
    """A prompt that is asked again, and with what."""

    prompt_id: UUID
    agent: str | None = None
    """Of its session from then on; None: as before."""
    model: str | None = None
    """The same; with an agent and without this, that agent's own default."""


@dataclass(frozen=True, kw_only=True)
class NewPrompt:
    """A prompt that is to be queued."""

    said: str
    kind: str
    thread_id: UUID | None
    asker: str = ""
    """Its author as the surface of the thread calls them."""
    language: str = ""
    """The shipped locale in which its author is answered."""
    joins: bool = False
    """A text of one person while their previous one is queued belongs to it."""
    front: bool = False
    """`now:` goes before the open prompts."""
    kept_back: bool = False
    """What its turn leaves is delivered by a later prompt of the kind `deliver`."""
    read_only: bool = False
    """Its turn changes nothing outside of its machine."""
    again: Again | None = None
    """The prompt that it repeats, and with which agent and model."""


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """Where a prompt ended up."""

    prompt_id: UUID
    position: int
    joined: bool


async def enqueue(
    tx: Transaction, session: LockedSession, new: NewPrompt, *, author_id: UUID
) -> Enqueued:
    """Insert a prompt into the locked session, or join the author's last one that still waits."""
    if new.joins and not new.read_only and new.kind == "text" and not new.front:
        joined = await _join(tx, session, new, author_id)
        if joined is not None:
            return joined
    position = await _position(tx, session.id, front=new.front)
    prompt_id, again = new_id(), new.again
    await tx.execute(
        SQL["insert_prompt"],
        {
            "prompt": prompt_id,
            "session": session.id,
            "position": position,
            "kind": new.kind,
            "author": author_id,
            "thread": new.thread_id,
            "asker": new.asker,
            "language": new.language,
            "kept_back": new.kept_back,
            "read_only": new.read_only,
            "agent": again and again.agent,
            "model": again and again.model,
            "repeats": again and again.prompt_id,
        },
    )
    if session.state is SessionState.IDLE:
        await make_ready(tx, session.id)
    return Enqueued(prompt_id=prompt_id, position=position, joined=False)


async def _join(
    tx: Transaction, session: LockedSession, new: NewPrompt, author_id: UUID
) -> Enqueued | None:
    """Let the author's last prompt take it in; None: that does not wait, or has no room."""
    asked = {
        "session": session.id,
        "author": author_id,
        "more_bytes": len(new.said.encode("utf-8", "replace")),
        "bytes_max": JOINED_BYTES_MAX,
    }
    row = (await tx.execute(SQL["joinable"], asked)).one_or_none()
    return None if row is None else Enqueued(prompt_id=row.id, position=row.position, joined=True)


async def _position(tx: Transaction, session_id: UUID, *, front: bool) -> int:
    if front:
        first = (
            await tx.execute(SQL["position_front"], {"session": session_id})
        ).scalar_one_or_none()
        if first is not None:
            return int(first)
    taken = await tx.execute(SQL["take_position"], {"session": session_id, "step": POSITION_STEP})
    return int(taken.scalar_one())


async def make_ready(tx: Transaction, session_id: UUID) -> None:
    """Offer an idle, held or waiting session to workers and hint them."""
    row = (await tx.execute(SQL["ready"], {"session": session_id})).one_or_none()
    if row is not None:
        tx.hint(READY, row.host_id or "")


async def waiting_place(tx: Transaction, session_id: UUID) -> int:
    """How many sessions go before this one; 0: it is next, or it does not wait."""
    return int((await tx.execute(SQL["queue_place"], {"session": session_id})).scalar_one())
