"""What the places where an automation reports have to hear besides its runs, each once.

Whatever stops an automation or leaves an event without a run writes a notice in its own
transaction; `bot.conversation.automation_notices` posts it. An automation that has reported nowhere
yet keeps its notices for its page; what waits for approval is told in the channels of its project.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import Message, kept

KEPT_DAYS = 90
LISTED_MAX = 20
PROPOSED = "proposed/"
"""What the keys of those begin with that wait for approval; the digest follows."""
_PUT = text(
    """
    INSERT INTO automation_notice (id, automation_id, key, said)
    SELECT :id, automation.id, :key, CAST(:said AS jsonb)
      FROM automation WHERE automation.id = :automation
    ON CONFLICT (automation_id, key) DO NOTHING RETURNING id
    """
)
_NEWEST = text(
    """
    SELECT id, said, created_at FROM automation_notice
     WHERE automation_id = :automation ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_UNTOLD = text(
    """
    SELECT notice.id, notice.key, notice.said, automation.name, automation.short,
           automation.project_id, automation.proposed_digest,
           (SELECT run.reports FROM run
             WHERE run.automation_id = automation.id AND run.reports <> '[]'
             ORDER BY run.created_at DESC LIMIT 1) AS reports
      FROM automation_notice AS notice JOIN automation ON automation.id = notice.automation_id
     WHERE notice.told_at IS NULL
     ORDER BY notice.created_at LIMIT :limit FOR UPDATE OF notice SKIP LOCKED
    """
)
_TOLD = text("UPDATE automation_notice SET told_at = clock_timestamp() WHERE id = ANY(:ids)")
_EXPIRE = text(
    "DELETE FROM automation_notice WHERE created_at < now() - make_interval(days => :days)"
)


async def put(tx: Transaction, automation_id: UUID, key: str, said: Message) -> bool:
    """Have it told, once for each `key` of the automation; whether it is new."""
    values = {"id": new_id(), "automation": automation_id, "key": key}
    return (await tx.execute(_PUT, {**values, "said": json.dumps(kept(said))})).first() is not None


async def newest(tx: Transaction, automation_id: UUID) -> Sequence[Mapping[str, Any]]:
    """What was said of an automation last: id, said (see `catalogue.again`), created_at."""
    asked = {"automation": automation_id, "limit": LISTED_MAX}
    return [dict(row) for row in (await tx.execute(_NEWEST, asked)).mappings()]


async def untold(tx: Transaction) -> Sequence[Any]:
    """Those that nobody was told, the oldest first, locked.

    Each as id, key, said, and of its automation name, short, project_id, proposed_digest, reports.
    """
    return (await tx.execute(_UNTOLD, {"limit": LISTED_MAX})).all()


async def told(tx: Transaction, ids: Sequence[UUID]) -> None:
    """They were told, as far as there is somebody to tell."""
    await tx.execute(_TOLD, {"ids": list(ids)})


async def expire(tx: Transaction) -> None:
    """Forget those that are old."""
    await tx.execute(_EXPIRE, {"days": KEPT_DAYS})
