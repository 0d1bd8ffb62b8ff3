"""What a turn asks a person: its row, who may answer, its time limit.

The turn keeps open while its session is `waiting`; the machine rests meanwhile. The answer queues
the session, and whoever claims it hands the answer to the job that asked.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.errors import NothingToDo, NotPermitted, Refused
from bot.govern import budget_refusals
from bot.govern.spending import extend
from bot.store.ids import new_id
from bot.store.states import SessionState
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work.asked import NO_ANSWER, OpenQuestion, Question, Settled
from bot.work.control import Actor
from bot.work.lease import Lease
from bot.work.queue import SQL, Event, append_events, append_held, hold, lock_session, make_ready
from bot.work.work_queue import stop_clock

_INSERT = text(
    """
    INSERT INTO question (id, session_id, turn_id, asked_key, text, choices, permitted, closed,
                          extends_micro, expires_at)
    VALUES (:id, :session, :turn, :key, :text, CAST(:choices AS jsonb), CAST(:permitted AS jsonb),
            :closed, :extends, now() + make_interval(secs => :seconds))
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
    SELECT id, turn_id, text, choices, permitted, closed, extends_micro FROM question
     WHERE session_id = :session AND state = 'open'
       AND id = coalesce(CAST(:question AS uuid), id) ORDER BY created_at LIMIT 1
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
    SELECT question.asked_key, question.state, question.answer, person.name
      FROM question LEFT JOIN person ON person.id = question.answered_by
     WHERE question.turn_id = :turn ORDER BY question.created_at
    """
)
_EXPIRED = text("SELECT id, session_id FROM question WHERE state = 'open' AND expires_at < now()")


async def put(
    tx: Transaction, lease: Lease, turn_id: UUID, question: Question, *, seconds: float
) -> bool:
    """Store the question and let the session wait; the lease is given back with that.

    False when it was asked (and answered or expired) before: the turn goes on.

    :raises LeaseLost:
    """
    state = await hold(tx, lease.key)
    event = await add(tx, lease.session_id, turn_id, question, seconds=seconds)
    if event is not None:
        await append_held(tx, lease.key, [event], turn_id=turn_id)
    still_open = any(one.key == question.key and one.open for one in await of_turn(tx, turn_id))
    if not still_open or state.stop is not None:
        return False
    await tx.execute(SQL["suspend"], {"session": lease.session_id})
    await stop_clock(tx, lease)
    lease.lost = True
    return True


async def add(
    tx: Transaction, session_id: UUID, turn_id: UUID, question: Question, *, seconds: float
) -> Event | None:
    """Store a question of the locked session's turn.

    Its event, for the caller to append; None: it was asked before.
    """
    permitted = question.permitted
    if permitted is None:
        permitted = set((await tx.execute(_ASKED, {"turn": turn_id})).scalars())
    question_id = new_id()
    values = {
        "id": question_id,
        "session": session_id,
        "turn": turn_id,
        "key": question.key,
        "text": question.text,
        "choices": _json(list(question.choices)),
        "permitted": _json(sorted(str(person) for person in permitted)),
        "closed": question.closed,
        "extends": question.extends_micro,
        "seconds": seconds,
    }
    inserted = (await tx.execute(_INSERT, values)).one_or_none()
    if inserted is None:
        return None
    body = {
        "question": question_id,
        "text": question.text,
        "choices": list(question.choices),
        "closed": question.closed,
        "expires_at": inserted.expires_at,
    }
    return Event(kind="question", body=body)


async def open_question(
    tx: Transaction, session_id: UUID, question_id: UUID | None = None
) -> OpenQuestion | None:
    """A question of the session that nobody has answered yet; None as its id: the oldest one."""
    asked = {"session": session_id, "question": question_id}
    row = (await tx.execute(_OPEN, asked)).one_or_none()
    if row is None:
        return None
    return OpenQuestion(**{**row._asdict(), "permitted": frozenset(row.permitted)})


async def answer(
    tx: Transaction,
    session_id: UUID,
    by: Actor,
    said: str,
    *,
    question_id: UUID | None = None,
    holds_budget: bool = False,
) -> int:
    """Take `said` as the answer; returns the number of its event.

    :param holds_budget: who answers decides about the project's money
    :raises NothingToDo: nothing is asked, or it was answered meanwhile
    :raises Refused: somebody else is asked, or it is none of the choices
    """
    await lock_session(tx, session_id)
    question = await open_question(tx, session_id, question_id)
    if question is None:
        raise NothingToDo(_("this question is not open any more"))
    _check(question, by, holds_budget=holds_budget)
    meant = question.means(said)
    if meant is None:
        choices = ", ".join(f"“{one}”" for one in question.choices)
        raise Refused(
            _("a question is open here, and this is none of its answers"),
            kept=_("nothing was queued"),
            do=_("say one of {choices}", choices=choices),
        )
    body = {"question": question.id, "by": by.id, "name": by.name, "answer": meant}
    if question.extends_micro and meant == question.choices[0]:
        await extend(tx, session_id, question.extends_micro)
        await budget_refusals.forget(tx, question.turn_id)
        body["extended_micro"] = question.extends_micro
    return await _close(tx, session_id, "answered", body)


def _check(question: OpenQuestion, by: Actor, *, holds_budget: bool) -> None:
    """:raises Refused: somebody else is asked. :raises NotPermitted: and it is about money"""
    if question.may_answer(by.id) or (question.extends_micro and holds_budget):
        return
    if question.extends_micro:
        raise NotPermitted(
            _("only who opened this session, or who holds the project's budget, decides this"),
            kept=_("nothing was changed"),
            do=_("ask one of them to answer here"),
        )
    raise Refused(_("somebody else is asked"), do=_("they can answer in this thread"))


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
        Settled(
            key=row.asked_key,
            open=row.state == "open",
            answer=row.answer or NO_ANSWER,
            by=row.name,
        )
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
