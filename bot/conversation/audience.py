"""Who reads along where a session talks: said once in a channel that everybody can read."""

from sqlalchemy import text

from adapters.chat.incoming import Spot
from bot.conversation.saying import say
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _

PUBLIC = N_(
    "Everybody on this server can read this channel, and so whatever I show here of the repository"
    " of {project}, private or not. Where that must not be, ask me in a channel of fewer people or"
    " in a direct message."
)

_THREAD = text(
    """
    SELECT thread.id, project.name AS project
      FROM thread JOIN session ON session.id = thread.session_id
      JOIN project ON project.id = session.project_id
     WHERE thread.surface = :surface AND thread.place = :place
    """
)
_WARN = text(
    """
    INSERT INTO channel (id, surface, address, warned_at)
    VALUES (:id, :surface, :channel, now())
    ON CONFLICT (surface, address) DO UPDATE SET warned_at = now() WHERE channel.warned_at IS NULL
    RETURNING id
    """
)


async def warn(tx: Transaction, spot: Spot) -> None:
    """Say in the thread of `spot` that everybody reads it, if its channel was not told yet."""
    where = {"surface": spot.surface, "place": spot.place}
    thread = (await tx.execute(_THREAD, where)).one_or_none()
    if thread is None:
        return
    values = {"id": new_id(), "surface": spot.surface, "channel": spot.channel}
    if (await tx.execute(_WARN, values)).one_or_none() is not None:
        await say(tx, thread.id, "public", _(PUBLIC, project=thread.project))
