"""Threads of deleted sessions are shown as closed, where their surface has a way of its own.

a session is deleted ─▶ those of its threads that showed what goes on in it ─▶ closed, each once
                                            └─ another session began there: it is not
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.port import (
    ChatError,
    ChatPort,
    Deadline,
    Gone,
    Phase,
    Rejected,
    ShowsPhases,
    Throttled,
)
from bot.conversation.outgoing import SEND_SECONDS
from bot.store.database import Database, is_away
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

POLL_SECONDS = 10.0
ASK_SECONDS = 5.0
BATCH = 5
"""So that a pass leaves most of a surface's budget to the turns that run."""
HOURS = 24
"""For which a surface that does not answer is asked again."""

_OPEN = text(
    """
    SELECT surface, place FROM tombstone_thread JOIN tombstone ON tombstone.id = tombstone_id
     WHERE shown AND surface = ANY(:surfaces) AND at > now() - make_interval(hours => :hours)
       AND at < now() - make_interval(secs => :calm_seconds)
       AND NOT EXISTS (SELECT FROM thread WHERE thread.surface = tombstone_thread.surface
                          AND thread.place = tombstone_thread.place)
     ORDER BY at, place LIMIT :batch
    """
)
_CLOSED = text(
    "UPDATE tombstone_thread SET shown = false WHERE surface = :surface AND place = :place"
)


class Closing:
    """Closes what is left of deleted sessions on the surfaces."""

    def __init__(
        self,
        database: Database,
        ports: Mapping[str, ChatPort],
        *,
        poll_seconds: float = POLL_SECONDS,
        calm_seconds: float = SEND_SECONDS,
    ) -> None:
        """`ports` by surface; those that show no phases are left alone.

        :param calm_seconds: for which a call of before the deletion may still be under way
        """
        self._database = database
        self._poll_seconds = poll_seconds
        self._calm_seconds = calm_seconds
        self._ports = {name: port for name, port in ports.items() if isinstance(port, ShowsPhases)}

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then until `stop`."""
        while self._ports and not stop.is_set():
            try:
                await self.once()
            except Exception as error:
                if not is_away(error):
                    log.exception("closing_failed")
            await first_of(stop, seconds_max=self._poll_seconds)

    async def once(self) -> None:
        """Close what is open now; twice does no harm."""
        wanted = {
            "surfaces": list(self._ports),
            "hours": HOURS,
            "batch": BATCH,
            "calm_seconds": self._calm_seconds,
        }
        async with self._database.begin() as tx:
            rows = (await tx.execute(_OPEN, wanted)).all()
        for row in rows:
            if not await self._close(row):
                return

    async def _close(self, row: Any) -> bool:
        """Close one; False: the surface takes nothing more now."""
        try:
            deadline = Deadline.after(ASK_SECONDS)
            await self._ports[row.surface].show_phase(row.place, Phase.CLOSED, "", deadline)
        except (Gone, Rejected) as error:
            log.info("nothing_to_close", place=row.place, why=str(error))
        except ChatError as error:
            log.info("closed_later", place=row.place, why=str(error))
            return not isinstance(error, Throttled)
        async with self._database.begin() as tx:
            await tx.execute(_CLOSED, {"surface": row.surface, "place": row.place})
        return True
