"""How long it usually takes until a machine is ready, by what is done for it first."""

from uuid import UUID

from sqlalchemy import text

from bot.store.database import Database

SESSIONS = 20
"""That were active last in the project, and are asked."""
EVENTS = 500
"""The last of each that are looked through."""

_USUAL = text(
    """
    SELECT percentile_cont(0.5) WITHIN GROUP (
               ORDER BY CAST(ready.body ->> 'seconds' AS double precision))
      FROM (SELECT id, event_last FROM session WHERE project_id = :project
             ORDER BY active_at DESC LIMIT :sessions) AS recent
     CROSS JOIN LATERAL (
           SELECT body FROM turn_event
            WHERE session_id = recent.id AND number > recent.event_last - :events
              AND kind = 'step' AND body ->> 'step' = 'ready' AND body ->> 'first' = :first
            ORDER BY number DESC LIMIT 1) AS ready
    """
)


async def usual_seconds(database: Database, project_id: UUID, first: str) -> float | None:
    """Median over the project's sessions that began with the step `first`; None: no such."""
    asked = {"project": project_id, "first": first, "sessions": SESSIONS, "events": EVENTS}
    async with database.begin() as tx:
        seconds = await tx.scalar(_USUAL, asked)
    return None if seconds is None else round(float(seconds), 1)
