"""What a session's agent calls its conversation, from one turn to the next."""

from uuid import UUID

from sqlalchemy import text

from bot.store.database import Database

_EARLIER = text(
    """
    SELECT body ->> 'id' FROM turn_event JOIN turn ON turn.id = turn_event.turn_id
     WHERE turn_event.session_id = :session AND kind = 'conversation'
       AND body ->> 'agent' = :agent AND turn.id <> :turn AND turn.undone_by IS NULL
     ORDER BY number DESC LIMIT 1
    """
)


async def earlier(database: Database, session_id: UUID, turn_id: UUID, agent: str) -> str | None:
    """The conversation that earlier turns had; the same for whoever takes the turn over.

    One that began in a turn which was taken back is none of the session's any more.
    """
    asked = {"session": session_id, "turn": turn_id, "agent": agent}
    found: str | None = (await database.run(_EARLIER, asked)).scalar_one_or_none()
    return found
