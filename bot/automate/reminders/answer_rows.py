"""What became of the prompts of reminders: how far each is, and what its agent said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.automate.reminders.answering import last_words
from bot.store.transaction import Transaction
from bot.words.catalogue import localized

EVENTS_MAX = 2_000
"""Of a turn, its last ones: an agent's words come in pieces."""
_OF = text(
    """
    SELECT prompt.state, prompt.session_id, session.short, session.state AS session_state, turn.id,
           turn.state AS outcome, ended.body AS ended,
           (SELECT question.text FROM question
             WHERE question.turn_id = turn.id AND question.state = 'open' LIMIT 1) AS question
      FROM prompt JOIN session ON session.id = prompt.session_id
      LEFT JOIN turn ON turn.prompt_id = prompt.id
      LEFT JOIN LATERAL (SELECT body FROM turn_event
                          WHERE turn_event.turn_id = turn.id AND kind = 'turn.ended'
                          ORDER BY number DESC LIMIT 1) AS ended ON true
     WHERE prompt.id = :prompt AND session.state <> 'deleting'
    """
)
_SAID = text(
    """
    SELECT kind, body FROM (
        SELECT number, kind, body FROM turn_event
         WHERE turn_id = :turn AND kind IN ('text', 'tool', 'output', 'undelivered')
         ORDER BY number DESC LIMIT :most) AS last
     ORDER BY number
    """
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How far a prompt is."""

    session_id: UUID
    session: str
    """Short id."""
    state: str
    """`open`, `answered`, `failed`, or `cancelled`."""
    question: str = ""
    """What its agent asks before it goes on."""
    text: str = ""
    """What it said last."""
    notice: str = ""
    """What is to be told of its work besides."""
    why: str = ""
    """Why it failed."""


async def of(tx: Transaction, prompt_id: UUID) -> Answer | None:
    """How far it is; None: its session was deleted."""
    row = (await tx.execute(_OF, {"prompt": prompt_id})).one_or_none()
    if row is None:
        return None
    known: dict[str, Any] = {"session_id": row.session_id, "session": row.short}
    if row.state == "cancelled":
        return Answer(state="cancelled", **known)
    if row.outcome in {None, "running"}:
        return Answer(state="open", question=row.question or "", **known)
    if row.outcome != "succeeded":
        ended = localized(row.ended or {})
        return Answer(state="failed", why=str(ended.get("summary") or row.outcome), **known)
    events = (await tx.execute(_SAID, {"turn": row.id, "most": EVENTS_MAX})).all()
    return Answer(state="answered", text=_words(events), notice=_notice(events), **known)


def _words(events: Sequence[Any]) -> str:
    return last_words([(one.kind, str(one.body.get("text") or "")) for one in events])


def _notice(events: Sequence[Any]) -> str:
    told = [localized(one.body) for one in events if one.kind == "undelivered"]
    return "\n".join(str(one.get("text") or "") for one in told)
