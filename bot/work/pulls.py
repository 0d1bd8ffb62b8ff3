"""The pull requests of sessions, as they were last seen: what becomes of them, and their checks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction

FOLLOWED_DAYS = 60
"""One that has been open for longer is only looked at when its session pushes."""

_OF_SESSION = text(
    """
    SELECT pull.surface, pull.repository, pull.number, pull.url, pull.state, pull.draft, pull.head,
           pull.base, pull.opened_by, pull.by_asker, pull.created_at, pull.seen_at,
           coalesce(ci.state, '') AS checks
      FROM pull_request AS pull
      LEFT JOIN LATERAL (
          SELECT ci_watch.state FROM ci_watch
           WHERE ci_watch.session_id = pull.session_id
             AND ci_watch.ref = 'refs/heads/' || pull.head
             AND starts_with(ci_watch.repository, pull.surface || ':')
             AND right(ci_watch.repository, length(pull.repository) + 1)
                 = '/' || lower(pull.repository)
           LIMIT 1
      ) AS ci ON true
     WHERE pull.session_id = :session ORDER BY pull.created_at, pull.id
    """
)
_ENDED = text(
    """
    UPDATE pull_request SET state = :state, seen_at = now()
     WHERE surface = :surface AND lower(repository) = lower(CAST(:repository AS varchar))
       AND number = :number AND state <> 'merged'
    """
)
_READY = text(
    """
    UPDATE pull_request SET draft = false, seen_at = now()
     WHERE surface = :surface AND lower(repository) = lower(CAST(:repository AS varchar))
       AND number = :number
    """
)
_OPEN = text(
    """
    SELECT DISTINCT repository FROM pull_request
     WHERE surface = :surface AND state = 'open'
       AND created_at > now() - make_interval(days => :days)
    """
)


async def of_session(tx: Transaction, session_id: UUID) -> Sequence[dict[str, Any]]:
    """Those of a session, the oldest first; `checks` is as in `CiWatch.state`."""
    rows = await tx.execute(_OF_SESSION, {"session": session_id})
    return [dict(row) for row in rows.mappings()]


async def happened(
    tx: Transaction, surface: str, repository: str, number: int, action: str
) -> None:
    """Keep what a forge told of a pull request, if it is one of ours.

    :param action: as in `adapters.chat.incoming.Happened`
    """
    which: dict[str, object] = {"surface": surface, "repository": repository, "number": number}
    if action in {"merged", "closed"}:
        await tx.execute(_ENDED, {**which, "state": action})
    elif action == "ready":
        await tx.execute(_READY, which)


async def open_in(tx: Transaction, surface: str) -> Sequence[str]:
    """The repositories of a forge in which a session has an open one, as the forge spells them."""
    asked = {"surface": surface, "days": FOLLOWED_DAYS}
    return [str(name) for name in (await tx.execute(_OPEN, asked)).scalars()]
