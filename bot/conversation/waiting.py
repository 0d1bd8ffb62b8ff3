"""The messages on a surface whose prompts wait: their authors may still take them back."""

from collections.abc import Sequence

from sqlalchemy import text

from adapters.chat.incoming import Author, Waiting, WaitingMessages
from bot.store.database import Database

SETTLED_SECONDS = 10.0
"""After which a surface that does not find a message that it told us of has lost it for good."""

_WAITING = text(
    """
    SELECT delivery.message_key, thread.place, account.surface, account.external_id, account.name
      FROM prompt
      JOIN delivery ON delivery.prompt_id = prompt.id
      JOIN thread ON thread.id = prompt.thread_id
      JOIN LATERAL (SELECT surface, external_id, name FROM identity
                     WHERE identity.person_id = delivery.person_id
                       AND starts_with(identity.surface, :surface || ':')
                     ORDER BY identity.id LIMIT 1) AS account ON true
     WHERE prompt.state = 'queued' AND delivery.surface = :surface AND thread.surface = :surface
       AND delivery.received_at < now() - make_interval(secs => :settled)
     ORDER BY prompt.created_at, delivery.id LIMIT :most
    """
)


def waiting_on(database: Database, surface: str) -> WaitingMessages:
    """What waits on the surface."""

    async def waiting(most: int) -> Sequence[Waiting]:
        async with database.begin() as tx:
            asked = {"surface": surface, "most": most, "settled": SETTLED_SECONDS}
            rows = (await tx.execute(_WAITING, asked)).all()
        return [
            Waiting(
                key=row.message_key,
                place=row.place,
                author=Author(
                    account=row.surface.partition(":")[2], id=row.external_id, name=row.name
                ),
            )
            for row in rows
        ]

    return waiting
