"""What goes on in a thread, where its surface shows that in its own way."""

from sqlalchemy import text

from adapters.chat.incoming import Said
from bot.conversation.message import Accepted
from bot.errors import NothingToDo
from bot.store.database import OUTBOX, Database

_AGAIN = text(
    """
    UPDATE reply
       SET state = 'pending', wording = wording + 1, attempts = 0, due_at = clock_timestamp()
      FROM thread
     WHERE thread.id = reply.thread_id AND thread.surface = :surface AND thread.place = :place
       AND reply.kind = 'phase' AND reply.state IN ('sent', 'failed')
    RETURNING reply.id
    """
)


def is_outdated(said: Said, accepted: Accepted) -> bool:
    """Whether somebody stopped what does not run: they were shown that it does."""
    refusal = accepted.refusal
    return said.pressed and refusal is not None and refusal.code == NothingToDo.code


async def show_again(database: Database, said: Said) -> None:
    """Show once more what goes on in the thread."""
    where = {"surface": said.spot.surface, "place": said.spot.place}
    async with database.begin() as tx:
        if (await tx.execute(_AGAIN, where)).first() is not None:
            tx.hint(OUTBOX)
