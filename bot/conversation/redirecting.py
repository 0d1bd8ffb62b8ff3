"""What a thread takes no more goes to its asker directly; else it is on the session's page.

a reply fails for good ─▶ undelivered ─▶ the asker's direct message ─▶ a reply there
                                ├─ there is none, or it was that already: nothing more
                ├─ they may not see the session's project any more: nothing more
                                └─ they asked in another thread, which has its own: nothing more
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid5

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError, ChatPort, Confides, Deadline, Gone, Rejected
from bot.conversation.hints import HINT
from bot.errors import NotAllowed, NotPermitted, NotSaid
from bot.govern.access import Act, require
from bot.govern.people import standing_of
from bot.govern.rights import Rights, to_see
from bot.store.database import OUTBOX, Database
from bot.store.ids import new_id

log = structlog.get_logger(__name__)

ASK_SECONDS = 5.0
BATCH = 20
HOURS = 24
"""After which nobody waits for an answer any more."""

_UNDELIVERED = text(
    """
    SELECT reply.id, thread.surface, thread.place, prompt.asker, prompt.author_id,
           session.short, session.project_id, session.narrow
      FROM reply JOIN thread ON thread.id = reply.thread_id
      JOIN turn ON turn.id = reply.turn_id JOIN prompt ON prompt.id = turn.prompt_id
      JOIN session ON session.id = turn.session_id
     WHERE reply.undelivered AND reply.created_at > now() - make_interval(hours => :hours)
       AND prompt.asker <> '' AND prompt.thread_id = thread.id AND thread.surface = ANY(:surfaces)
     ORDER BY reply.created_at LIMIT :batch
    """
)
_SETTLE = text("UPDATE reply SET undelivered = false WHERE id = :id AND undelivered RETURNING id")
_THREAD = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    SELECT :id, session.id, :surface, :place, reply.language, session.event_last
      FROM reply JOIN turn ON turn.id = reply.turn_id JOIN session ON session.id = turn.session_id
     WHERE reply.id = :reply
    ON CONFLICT (surface, place) DO UPDATE SET place = excluded.place
    RETURNING id
    """
)
_AGAIN = text(
    """
    INSERT INTO reply (id, thread_id, turn_id, kind, key, body, final, language, wording,
                       created_at)
    SELECT :id, :thread, turn_id, kind, 'redirected:' || CAST(id AS text), body, true,
           language, 1,
           clock_timestamp()
      FROM reply WHERE id = :reply
    ON CONFLICT (thread_id, key) DO NOTHING
    """
)


class Redirecting:
    """Sends what could not be delivered to whom it was for."""

    def __init__(self, database: Database, ports: Mapping[str, ChatPort], rights: Rights) -> None:
        """`ports` by surface; those that know no direct messages are left alone."""
        self._database = database
        self._rights = rights
        self._ports = {name: port for name, port in ports.items() if isinstance(port, Confides)}

    async def once(self) -> None:
        """Redirect what is undelivered now."""
        wanted = {"surfaces": list(self._ports), "hours": HOURS, "batch": BATCH}
        async with self._database.begin() as tx:
            rows = (await tx.execute(_UNDELIVERED, wanted)).all()
        for row in rows:
            await self._redirect(row)

    async def _redirect(self, row: Any) -> None:
        place: str | None = None
        try:
            await self._check(row)
            deadline = Deadline.after(ASK_SECONDS)
            place = await self._ports[row.surface].confide(row.place, row.asker, deadline)
        except (Gone, Rejected, NotAllowed) as error:
            log.info("nobody_to_redirect_to", reply=str(row.id), why=str(error))
        except (ChatError, NotSaid) as error:
            log.info("redirected_later", reply=str(row.id), why=str(error))
            return
        except NotPermitted as error:
            log.info("nobody_to_redirect_to", reply=str(row.id), why=str(error))
        await self._settle(row, place)

    async def _check(self, row: Any) -> None:
        """:raises NotAllowed, NotPermitted: the asker may not see what it is about any more"""
        async with self._database.begin() as tx:
            who = await standing_of(tx, row.author_id)
        require(who, Act.SEE)
        await self._rights.require(who, row.project_id, to_see(narrow=row.narrow))

    async def _settle(self, row: Any, place: str | None) -> None:
        """Say it again in `place`, once; None: nowhere."""
        async with self._database.begin() as tx:
            settled = (await tx.execute(_SETTLE, {"id": row.id})).one_or_none()
            if settled is None or place is None or row.place.startswith(place):
                return
            own = f"{place}~{row.short}-{uuid5(HINT, row.place).hex[:8]}"
            values = {"id": new_id(), "surface": row.surface, "place": own, "reply": row.id}
            thread_id = (await tx.execute(_THREAD, values)).scalar_one()
            again = {"id": new_id(), "thread": thread_id, "reply": row.id}
            await tx.execute(_AGAIN, again)
            tx.hint(OUTBOX)
