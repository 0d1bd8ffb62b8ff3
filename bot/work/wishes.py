"""What the agent of a session wants its pull request to say: kept here, carried out by delivery.

One row a session and repository. A field that is None was not wished: what stands there stays, and
delivery words what does not stand anywhere yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from bot.store.transaction import Transaction

_PUT = text(
    """
    INSERT INTO pull_request_wish (session_id, repository, title, body, draft, turn_id,
                                   draft_turn_id)
    VALUES (:session, :repository, :title, :body, :draft, :turn,
            CASE WHEN CAST(:draft AS boolean) IS NOT NULL THEN CAST(:turn AS uuid) END)
    ON CONFLICT (session_id, repository) DO UPDATE
       SET title = coalesce(excluded.title, pull_request_wish.title),
           body = coalesce(excluded.body, pull_request_wish.body),
           draft = coalesce(excluded.draft, pull_request_wish.draft),
           draft_turn_id = CASE WHEN excluded.draft IS NULL THEN pull_request_wish.draft_turn_id
                                ELSE excluded.draft_turn_id END,
           turn_id = excluded.turn_id, wished_at = now()
    """
)
_OF = text(
    """
    SELECT repository, title, body, draft, turn_id, draft_turn_id, wished_at FROM pull_request_wish
     WHERE session_id = :session ORDER BY repository
    """
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A wish, as delivery reads it."""

    repository: str
    """Its address, as the project has it."""
    title: str | None
    body: str | None
    """Markdown, as the agent wrote it."""
    draft: bool | None
    """None: as the project's policy says."""
    turn_id: UUID | None
    """The turn that wished last."""
    draft_turn_id: UUID | None
    """The turn that wished last whether it is a draft."""
    wished_at: datetime


async def put(
    tx: Transaction,
    session_id: UUID,
    turn_id: UUID | None,
    *,
    repository: str,
    title: str | None,
    body: str | None,
    draft: bool | None,
) -> None:
    """Keep a wish; what is None stays as it was wished before.

    :param turn_id: whose agent wished it; None: the steps of an automation say so
    """
    values = {
        "session": session_id,
        "turn": turn_id,
        "repository": repository,
        "title": title,
        "body": body,
        "draft": draft,
    }
    await tx.execute(_PUT, values)


async def wishes_of(tx: Transaction, session_id: UUID) -> Sequence[Wish]:
    """The wishes of a session, at most one for each of its repositories."""
    rows = (await tx.execute(_OF, {"session": session_id})).mappings()
    return [Wish(**row) for row in rows]
