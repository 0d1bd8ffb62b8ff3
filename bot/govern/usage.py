"""What was spent on models: by session, person, project, day, model or turn.

A request counts on the day (UTC) on which it was asked, once its cost is known. What somebody spent
in another person's private session counts, and is not called by its name; nor is one that they may
not see because it is narrow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction

By = Literal["session", "person", "project", "day", "model", "turn"]
BY: tuple[By, ...] = get_args(By)
ROWS_MAX = 1_000

_SESSION = "CASE WHEN seen.is_open THEN session.short END"
_KEYS: Mapping[By, tuple[str, str]] = {
    "session": (_SESSION, "CASE WHEN seen.is_open THEN session.title END"),
    "person": ("CAST(charge.person_id AS text)", "person.name"),
    "project": ("project.name", "project.name"),
    "day": ("CAST(charge.day AS text)", "CAST(charge.day AS text)"),
    "model": ("charge.model", "charge.model"),
    "turn": ("CASE WHEN seen.is_open THEN CAST(charge.turn_id AS text) END", _SESSION),
}
"""What rows are told apart by, and what it is called; None: deleted, or private to somebody."""
_ROWS = """
    SELECT {key} AS key, {name} AS name, count(*) AS requests,
           sum(charge.cost_micro) AS cost_micro, sum(charge.input_tokens) AS input_tokens,
           sum(charge.output_tokens) AS output_tokens,
           sum(charge.cache_read_tokens) AS cache_read_tokens,
           sum(charge.cache_write_tokens) AS cache_write_tokens,
           bool_or(charge.state = 'estimated') AS is_estimated
      FROM charge
      LEFT JOIN session ON session.id = charge.session_id
      LEFT JOIN project ON project.id = charge.project_id
      LEFT JOIN person ON person.id = charge.person_id
     CROSS JOIN LATERAL (
           SELECT session.id IS NOT NULL
              AND (session.private_to IS NULL OR session.private_to = :viewer)
              AND (NOT session.narrow OR session.project_id = ANY(:told)) AS is_open) AS seen
     WHERE charge.state <> 'reserved'
       AND charge.project_id = ANY(:projects)
       AND (CAST(:since AS date) IS NULL OR charge.day >= :since)
       AND (CAST(:until AS date) IS NULL OR charge.day < :until)
       AND (CAST(:session AS text) IS NULL OR session.short = :session AND seen.is_open)
       AND (CAST(:person AS uuid) IS NULL OR charge.person_id = :person)
     GROUP BY 1, 2
     ORDER BY {order} LIMIT {most}
"""
_STATEMENTS = {
    by: text(
        _ROWS.format(
            key=key,
            name=name,
            order="key DESC" if by == "day" else "cost_micro DESC, key",
            most=ROWS_MAX,
        )
    )
    for by, (key, name) in _KEYS.items()
}
_PROJECTS = text("SELECT DISTINCT project_id FROM charge")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What of it somebody asks for."""

    viewer: UUID
    """Who asks."""
    projects: Collection[UUID]
    """Those that they may see."""
    told: Collection[UUID]
    """Those of which they may see narrow sessions too."""
    since: date | None = None
    until: date | None = None
    """That day not any more."""
    session: str | None = None
    """Its short id."""
    person: UUID | None = None


async def used(tx: Transaction, by: By, wanted: Wanted) -> list[dict[str, Any]]:
    """What was used, the dearest first, days the newest first; at most ROWS_MAX rows."""
    values = {**vars(wanted), "projects": list(wanted.projects), "told": list(wanted.told)}
    return [dict(row) for row in (await tx.execute(_STATEMENTS[by], values)).mappings()]


async def spenders(tx: Transaction) -> list[dict[str, Any]]:
    """The projects that anything was spent for."""
    return [dict(row) for row in (await tx.execute(_PROJECTS)).mappings()]
