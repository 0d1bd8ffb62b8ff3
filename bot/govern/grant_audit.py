"""What becomes of grants, in the audit: which, of what kind, for whose turn; never a value."""

from collections.abc import Collection, Mapping
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from bot.govern.audit import HERE, Audited, Source, record
from bot.store.transaction import Transaction

Became = Literal["grant.issued", "grant.renewed", "grant.revoked", "grant.ended"]

_GRANTS = text(
    """
    SELECT g.id, g.kind, g.name, g.mode, g.turn_id, g.session_id, g.ends_at,
           g.template_id, coalesce(session.project_id, template.project_id) AS project_id,
           person.id AS person_id, person.name AS who
      FROM turn_grant AS g
      LEFT JOIN session ON session.id = g.session_id
      LEFT JOIN template ON template.id = g.template_id
      LEFT JOIN turn ON turn.id = g.turn_id
      LEFT JOIN prompt ON prompt.id = turn.prompt_id
      LEFT JOIN LATERAL (
           SELECT author_id FROM prompt
            WHERE g.turn_id IS NULL AND prompt.session_id = g.session_id
              AND prompt.state IN ('queued', 'running')
            ORDER BY prompt.state = 'running' DESC, prompt.position LIMIT 1
      ) AS asked ON true
      LEFT JOIN person ON person.id = coalesce(prompt.author_id, asked.author_id)
     WHERE g.id = ANY(:grants)
     ORDER BY g.created_at, g.id
    """
)


async def note(
    tx: Transaction,
    became: Became,
    grants: Collection[UUID],
    *,
    repeats: Mapping[UUID, int] | None = None,
) -> None:
    """Record what became of grants, in the transaction in which it is written down.

    :param repeats: how often the same happened to each since it was recorded last
    """
    if not grants:
        return
    rows = (await tx.execute(_GRANTS, {"grants": list(grants)})).all()
    events = []
    for row in rows:
        body = {
            "grant": row.id,
            "kind": row.kind,
            "name": row.name,
            "mode": row.mode,
            "turn": row.turn_id,
            "ends_at": row.ends_at,
        }
        if row.template_id is not None:
            body["template"] = row.template_id
        if repeats is not None:
            body["repeats"] = repeats[row.id]
        by = Source(person_id=row.person_id, who=row.who, surface="vault") if row.who else HERE
        events.append(
            Audited(
                kind=became,
                by=by,
                place=row.name,
                session_id=row.session_id,
                project_id=row.project_id,
                body=body,
            )
        )
    await record(tx, *events)
