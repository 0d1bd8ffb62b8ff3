"""Reads the audit together with what sessions' events and the outbox record: for lists and exports.

Of a session that is private to somebody everybody else sees that something happened, by whom and
when, and what its machine reached; neither which session it was nor what was said.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import text

from bot.store.database import CONNECT_SECONDS, Database, conninfo
from bot.store.transaction import Transaction, driver_text

LISTED_MAX = 1000
ROWS_AT_ONCE = 500
TALK = ("output", "output.cut", "text", "thought", "step", "plan", "usage", "cost", "notice")
"""Events of sessions that tell nothing of what was done."""

_ROWS = """
    SELECT found.at, found.source, found.number, found.kind, found.person_id, found.who,
           found.surface, CASE WHEN closed THEN '' ELSE found.place END AS place,
           CASE WHEN private THEN NULL ELSE session.short END AS session, project.name AS project,
           found.outcome, private, CASE WHEN closed THEN '{}'::jsonb ELSE found.body END AS body
      FROM (
        SELECT event.at, 'audit' AS source, event.number, event.kind,
               CAST(event.person_id AS text) AS person_id, event.who, event.surface, event.place,
               event.session_id, event.project_id, event.outcome,
               CASE WHEN reply.id IS NULL THEN event.body
                    ELSE event.body || jsonb_build_object('text', reply.body) END AS body
          FROM audit_event AS event
          LEFT JOIN reply ON event.kind = 'reply.posted'
                         AND reply.id = CAST(event.body ->> 'reply' AS uuid)
         WHERE event.at >= :since AND event.at < :until
        UNION ALL
        SELECT event.at, 'session', event.number, event.kind,
               coalesce(event.body ->> 'by', event.body ->> 'author', ''),
               coalesce(event.body ->> 'name', ''), coalesce(event.body ->> 'surface', ''), '',
               event.session_id, session.project_id, coalesce(event.body ->> 'outcome', 'done'),
               event.body
          FROM turn_event AS event JOIN session ON session.id = event.session_id
         WHERE event.at >= :since AND event.at < :until AND event.kind <> ALL(:talk)
      ) AS found
      LEFT JOIN session ON session.id = found.session_id
      LEFT JOIN project ON project.id = found.project_id
     CROSS JOIN LATERAL (
           SELECT session.private_to IS NOT NULL
              AND session.private_to IS DISTINCT FROM CAST(:viewer AS uuid) AS private) AS seen
     CROSS JOIN LATERAL (SELECT private AND found.kind <> 'egress' AS closed) AS said
     WHERE (CAST(:session AS text) IS NULL OR session.short = :session AND NOT private)
       AND (CAST(:project AS text) IS NULL OR project.name = :project)
       AND (CAST(:person AS uuid) IS NULL OR found.person_id = CAST(:person AS text))
       AND (CAST(:kind AS text) IS NULL OR found.kind = :kind OR found.kind LIKE :kind || '.%')
"""
_LISTED = text(f"{_ROWS} ORDER BY found.at DESC, found.source, found.number DESC LIMIT :limit")
_EXPORTED = text(f"{_ROWS} ORDER BY found.at, found.source, found.number")
EVER = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of the audit somebody asks for."""

    viewer: UUID
    """Who asks."""
    since: datetime = EVER
    until: datetime = NEVER
    session: str | None = None
    """Its short id."""
    project: str | None = None
    """Its name."""
    person: UUID | None = None
    kind: str | None = None
    """One, or the noun of several: `token` is also `token.made`."""

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of a statement."""
        return {**vars(self), "talk": list(TALK)}

    @property
    def shown(self) -> dict[str, Any]:
        """What of it is worth noting, for the audit itself."""
        return {
            key: str(value)
            for key, value in vars(self).items()
            if key != "viewer" and value not in {None, EVER, NEVER}
        }


async def listed(tx: Transaction, wanted: Wanted, *, limit: int) -> list[dict[str, Any]]:
    """The newest first."""
    values = {**wanted.values, "limit": min(limit, LISTED_MAX)}
    return [dict(row) for row in (await tx.execute(_LISTED, values)).mappings()]


async def exported(database: Database, wanted: Wanted) -> AsyncIterator[str]:
    """JSON lines, the oldest first, all as they were at one moment; on a connection of its own."""
    connection = await psycopg.AsyncConnection.connect(
        conninfo(database.url), connect_timeout=CONNECT_SECONDS, row_factory=dict_row
    )
    async with connection, connection.cursor(name="audit_export") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        await cursor.execute(driver_text(_EXPORTED), wanted.values)
        async for row in cursor:
            yield line(row)


def line(row: Mapping[str, Any]) -> str:
    """One row as a line of JSON."""
    return json.dumps(dict(row), ensure_ascii=False, default=_plain) + "\n"


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
