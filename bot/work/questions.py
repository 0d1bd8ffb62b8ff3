"""What a turn asks a person: its row, who may answer, its time limit.

The turn keeps open while its session is `waiting`; the machine rests meanwhile. The answer queues
the session, and whoever claims it hands the answer to the job that asked.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NothingToDo, Refused
from bot.store.ids import new_id
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.control import Actor
from bot.work.lease import Lease
from bot.work.queue import SQL, Event, append_events, append_held, hold, lock_session, make_ready
from bot.work.work_queue import stop_clock

_INSERT = text(
    """
    INSERT INTO question (id, session_id, turn_id, asked_key, text, choices, permitted, expires_at)
    VALUES (:id, :session, :turn, :key, :text, CAST(:choices AS jsonb), CAST(:permitted AS jsonb),
            now() + make_interval(secs => :seconds))
    ON CONFLICT (turn_id, asked_key) DO NOTHING
    RETURNING expires_at
    """
)
_ASKED = text(
    """
    SELECT prompt.author_id FROM turn JOIN prompt ON prompt.id = turn.prompt_id
     WHERE turn.id = :turn
    UNION SELECT delivery.person_id FROM turn JOIN delivery USING (prompt_id)
     WHERE turn.id = :turn AND delivery.person_id IS NOT NULL
    UNION SELECT session.creator_id FROM turn JOIN session ON session.id = turn.session_id
     WHERE turn.id = :turn
    """
)
_OPEN = text(
    """
    SELECT id, turn_id, asked_key, text, choices, permitted, expires_at FROM question
     WHERE session_id = :session AND state = 'open' ORDER BY created_at LIMIT 1
    """
)
_CLOSE = text(
    """
    UPDATE question SET state = :state, answer = :answer, answered_by = :by
     WHERE id = :question AND state = 'open' RETURNING session_id, turn_id
    """
)
_OF_TURN = text(
    """
    SELECT asked_key, state, answer FROM question WHERE turn_id = :turn ORDER BY created_at
    """
)
_EXPIRED = text("SELECT id, session_id FROM question WHERE state = 'open' AND expires_at < now()")

NO_ANSWER = ""
"""What the job is told when nobody answered in time."""


@dataclass(frozen=True, kw_only=True)
class OpenQuestion:
    """A question that nobody has answered yet."""

    id: UUID
    text: str
    choices: Sequence[str]
    permitted: frozenset[str]

    def may_answer(self, person_id: UUID) -> bool:
        """Whether this person's words are the answer."""
        return not self.permitted or str(person_id) in self.permitted


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A question of a turn as the harness needs it after a rest."""

    key: str
    open: bool
    answer: str


async def ask(
    tx: Transaction,
    lease: Lease,
    turn_id: UUID,
    *,
    key: str,
    question: str,
    choices: Sequence[str],
    permitted: Collection[UUID] | None = None,
    seconds: float,
) -> bool:
    """Store the question and let the session wait; the lease is given back with that.

    :param permitted: who may answer; None: who said something in the prompt, and who opened the
        session; empty: everybody

    False when it was asked (and answered or expired) before: the turn goes on.

    :raises LeaseLost:
    """
    state = await hold(tx, lease.key)
    event = await put(
        tx,
        lease.session_id,
        turn_id,
        key=key,
        question=question,
        choices=choices,
        permitted=permitted,
        seconds=seconds,
    )
    if event is not None:
        await append_held(tx, lease.key, [event], turn_id=turn_id)
    still_open = any(one.key == key and one.open for one in await of_turn(tx, turn_id))
    if not still_open or state.stop is not None:
        return False
    await tx.execute(SQL["suspend"], {"session": lease.session_id})
    await stop_clock(tx, lease)
    lease.lost = True
    return True


async def put(
    tx: Transaction,
    session_id: UUID,
    turn_id: UUID,
    *,
    key: str,
    question: str,
    choices: Sequence[str],
    seconds: float,
    permitted: Collection[UUID] | None = None,
) -> Event | None:
    """Store a question of the locked session's turn; `permitted` as in `ask`.

    Its event, for the caller to append; None: it was asked before.
    """
    if permitted is None:
        permitted = set((await tx.execute(_ASKED, {"turn": turn_id})).scalars())
    question_id = new_id()
    values = {
        "id": question_id,
        "session": session_id,
        "turn": turn_id,
        "key": key,
        "text": question,
        "choices": _json(list(choices)),
        "permitted": _json(sorted(str(person) for person in permitted)),
        "seconds": seconds,
    }
    inserted = (await tx.execute(_INSERT, values)).one_or_none()
    if inserted is None:
        return None
    body = {
        "question": question_id,
        "text": question,
        "choices": list(choices),
        "expires_at": inserted.expires_at,
    }
    return Event(kind="question", body=body)


async def open_question(tx: Transaction, session_id: UUID) -> OpenQuestion | None:
    """The oldest question of the session that nobody has answered yet."""
    row = (await tx.execute(_OPEN, {"session": session_id})).one_or_none()
    if row is None:
        return None
    return OpenQuestion(
        id=row.id, text=row.text, choices=row.choices, permitted=frozenset(row.permitted)
    )


async def answer(
    tx: Transaction, session_id: UUID, by: Actor, said: str, *, question_id: UUID | None = None
) -> int:
    """Take `said` as the answer; returns the number of its event.

    :raises NothingToDo: nothing is asked, or it was answered meanwhile
    :raises Refused: somebody else is asked
    """
    await lock_session(tx, session_id)
    question = await open_question(tx, session_id)
    if question is None or (question_id is not None and question.id != question_id):
        raise NothingToDo(_("this question is not open any more"))
    if not question.may_answer(by.id):
        raise Refused(_("somebody else is asked"), do=_("they can answer in this thread"))
    body = {"question": question.id, "by": by.id, "name": by.name, "answer": said}
    return await _close(tx, session_id, "answered", body)


async def expire(tx: Transaction) -> int:
    """Close what nobody answered in time; the turns go on without an answer."""
    expired = 0
    for row in (await tx.execute(_EXPIRED)).all():
        await lock_session(tx, row.session_id)
        with suppress(NothingToDo):
            # Answered, or ended with its turn, while we waited for the session's row.
            await _close(tx, row.session_id, "expired", {"question": row.id})
            expired += 1
    return expired


async def of_turn(tx: Transaction, turn_id: UUID) -> list[Settled]:
    """Every question of the turn, the oldest first."""
    rows = await tx.execute(_OF_TURN, {"turn": turn_id})
    return [
        Settled(key=row.asked_key, open=row.state == "open", answer=row.answer or NO_ANSWER)
        for row in rows
    ]


async def _close(tx: Transaction, session_id: UUID, state: str, body: Mapping[str, Any]) -> int:
    settled = {
        "question": body["question"],
        "state": state,
        "answer": body.get("answer", NO_ANSWER),
        "by": body.get("by"),
    }
    closed = (await tx.execute(_CLOSE, settled)).one_or_none()
    if closed is None:
        raise NothingToDo(_("this question is not open any more"))
    number = await append_events(
        tx, session_id, [Event(kind=f"question.{state}", body=body)], turn_id=closed.turn_id
    )
    locked = await lock_session(tx, session_id)
    if locked is not None and locked.state is SessionState.WAITING:
        await make_ready(tx, session_id)
    return number


def _json(value: object) -> str:
    return json.dumps(value)
