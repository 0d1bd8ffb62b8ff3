"""What the turns of one session changed in files, as their agents told it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy import text

from bot.store.transaction import Transaction
from bot.web import reading
from bot.web.rendering import page
from bot.web.visitor import Provided, Reader
from bot.work import pulls

router = APIRouter(prefix="/sessions/{short}/changes")
CHANGES_MAX = 200
"""How many of a session's newest changes are shown."""

_CHANGES = text(
    """
    SELECT change.number, change.turn_id, change.title, change.diff, person.name,
           (SELECT left(coalesce(string_agg(delivery.text, ' ' ORDER BY delivery.event), ''), 200)
              FROM delivery WHERE delivery.prompt_id = turn.prompt_id) AS asked
      FROM (SELECT DISTINCT ON (turn_id, coalesce(body ->> 'id', CAST(number AS text)))
                   number, turn_id, body ->> 'title' AS title, body ->> 'diff' AS diff
              FROM turn_event
             WHERE session_id = :session AND kind = 'tool' AND body ->> 'diff' <> ''
             ORDER BY turn_id, coalesce(body ->> 'id', CAST(number AS text)), number DESC) AS change
      JOIN turn ON turn.id = change.turn_id
      JOIN prompt ON prompt.id = turn.prompt_id JOIN person ON person.id = prompt.author_id
     ORDER BY change.number DESC LIMIT :most
    """
)


@router.get("")
async def show(short: str, visitor: Reader, services: Provided) -> Response:
    """The changes, the newest first, and where they were delivered."""
    async with services.database.begin() as tx:
        session = await reading.session(tx, short)
        turns = await _by_turn(tx, session["id"])
        opened = await pulls.of_session(tx, session["id"])
    return page(
        "changes.html",
        visitor,
        session=session,
        turns=turns,
        pulls=opened,
        is_whole=sum(len(one["changes"]) for one in turns) < CHANGES_MAX,
        changes_max=CHANGES_MAX,
    )


async def _by_turn(tx: Transaction, session_id: UUID) -> Sequence[dict[str, Any]]:
    rows = await tx.execute(_CHANGES, {"session": session_id, "most": CHANGES_MAX})
    turns: dict[UUID, dict[str, Any]] = {}
    for row in rows:
        one = turns.setdefault(
            row.turn_id, {"id": row.turn_id, "name": row.name, "asked": row.asked, "changes": []}
        )
        one["changes"].append({"title": row.title or "tool", "diff": row.diff})
    return list(turns.values())
