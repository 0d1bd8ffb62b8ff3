"""What was said in a session with other agents, for the one that goes on: quoted material.

An agent loads its own conversation. Of the turns that others ran since it has only the files.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Quoted
from bot.store.transaction import Transaction

TURNS_MAX = 20
"""The newest ones."""
LENGTH_MAX = 4_000
"""Characters of a prompt (its beginning) and of an answer (its end)."""

_SINCE = text(
    """
    WITH ran AS (
        SELECT turn.id, turn.prompt_id, turn.started_at, turn.ended_at, turn.undone_by,
               started.body ->> 'agent' AS agent, started.body ->> 'name' AS name
          FROM turn
          JOIN turn_event AS started ON started.turn_id = turn.id AND started.kind = 'turn.started'
         WHERE turn.session_id = (SELECT session_id FROM turn WHERE id = :turn)
           AND turn.id <> :turn AND turn.ended_at IS NOT NULL
    )
    SELECT ran.id, ran.agent, ran.name, ran.started_at, ran.ended_at,
           (SELECT left(string_agg(delivery.text, E'\n' ORDER BY delivery.event), :most)
              FROM delivery WHERE delivery.prompt_id = ran.prompt_id) AS asked,
           (SELECT right(string_agg(said.body ->> 'text', '' ORDER BY said.number), :most)
              FROM turn_event AS said
             WHERE said.turn_id = ran.id AND said.kind = 'text') AS answer
      FROM ran JOIN prompt ON prompt.id = ran.prompt_id
     WHERE ran.agent <> :agent AND ran.undone_by IS NULL AND prompt.kind = 'text'
       AND ran.started_at > coalesce((SELECT max(own.started_at) FROM ran AS own
                                       WHERE own.agent = :agent), '-infinity')
     ORDER BY ran.started_at DESC LIMIT :turns
    """
)


async def said_since(tx: Transaction, turn_id: UUID, agent: str) -> Sequence[Quoted]:
    """What was asked of other agents since this one's last turn, and what they answered.

    The same for whoever takes the turn over: turns that ended do not change.
    """
    asked = {"turn": turn_id, "agent": agent, "most": LENGTH_MAX, "turns": TURNS_MAX}
    rows = (await tx.execute(_SINCE, asked)).all()
    found = []
    for row in reversed(rows):
        key = str(row.id)
        found.append(Quoted(key=key, author=row.name, at=row.started_at, text=row.asked or ""))
        if row.answer:
            found.append(Quoted(key=key, author=row.agent, at=row.ended_at, text=row.answer))
    return found
