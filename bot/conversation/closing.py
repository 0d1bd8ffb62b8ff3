"""What threads of deleted sessions still show of them is ended, each once.

a session is deleted ─▶ those of its threads that showed what goes on in it ─▶ closed, where their
                     │                      │          surface has a way of its own to say so
                     │                      └─ another session began there: it is not
                     ├▶ live messages that were not ended ─▶ one line, without buttons
                     └▶ signs at prompts that waited ─▶ taken away
"""

from collections.abc import Awaitable, Mapping
from typing import Any

import structlog
from sqlalchemy import TextClause, text

from adapters.chat.port import (
    AfterUncertain,
    ChatError,
    ChatPort,
    Content,
    Deadline,
    Gone,
    Live,
    Phase,
    Reacts,
    Rejected,
    ShowsPhases,
    Throttled,
)
from bot.conversation.fences import compose, prose
from bot.conversation.outgoing import SEND_SECONDS
from bot.conversation.replies import manner_of
from bot.store.database import Database
from bot.words.catalogue import SOURCE, nearest, speaking
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

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

_STANDING = text(
    """
    SELECT tombstone_post.id, surface, place, kind, ref, language, short, name
      FROM tombstone_post JOIN tombstone ON tombstone.id = tombstone_id
     WHERE surface = ANY(:surfaces) AND at > now() - make_interval(hours => :hours)
       AND at < now() - make_interval(secs => :calm_seconds)
     ORDER BY at, tombstone_post.id LIMIT :batch
    """
)
_ENDED = text("DELETE FROM tombstone_post WHERE id = :id")


class Closing:
    """Closes what is left of deleted sessions on the surfaces."""

    def __init__(
        self,
        database: Database,
        ports: Mapping[str, ChatPort],
        *,
        calm_seconds: float = SEND_SECONDS,
    ) -> None:
        """`ports` by surface.

        :param calm_seconds: for which a call of before the deletion may still be under way
        """
        self._database = database
        self._calm_seconds = calm_seconds
        self._ports = ports
        self._phased = {name: port for name, port in ports.items() if isinstance(port, ShowsPhases)}

    async def once(self) -> None:
        """Close what is open now; twice does no harm."""
        wanted = {"hours": HOURS, "batch": BATCH, "calm_seconds": self._calm_seconds}
        phased, all_of_them = list(self._phased), list(self._ports)
        async with self._database.begin() as tx:
            shown = (await tx.execute(_OPEN, {**wanted, "surfaces": phased})).all()
            standing = (await tx.execute(_STANDING, {**wanted, "surfaces": all_of_them})).all()
        for row in standing:
            if not await self._done(row, self._end(row), _ENDED, {"id": row.id}):
                break
        for row in shown:
            if not await self._done(row, self._close(row), _CLOSED, _where(row)):
                break

    async def _close(self, row: Any) -> None:
        deadline = Deadline.after(ASK_SECONDS)
        await self._phased[row.surface].show_phase(row.place, Phase.CLOSED, "", deadline)

    async def _end(self, row: Any) -> None:
        port, deadline = self._ports[row.surface], Deadline.after(ASK_SECONDS)
        if row.kind == "reaction":
            if isinstance(port, Reacts):
                await port.react(row.place, row.ref, None, deadline)
            return
        ref = row.ref
        if ref is None and port.limits.after_uncertain is AfterUncertain.LOOK_UP:
            ref = await port.find(row.place, str(row.id), deadline)
        if ref is not None:
            language = nearest(row.language, SOURCE)
            with speaking(language):
                said = _(
                    "{name} deleted session {session}.", name=prose(row.name), session=row.short
                )
                told = compose(said, manner_of(port))
            ended = Content(text=told, live=Live.ENDED, language=language)
            await port.edit(row.place, ref, ended, deadline)

    async def _done(
        self, row: Any, act: Awaitable[None], stored: TextClause, which: Mapping[str, Any]
    ) -> bool:
        """Do it and store that; False: the surface takes nothing more now."""
        try:
            await act
        except (Gone, Rejected) as error:
            log.info("nothing_to_close", place=row.place, why=str(error))
        except ChatError as error:
            log.info("closed_later", place=row.place, why=str(error))
            return not isinstance(error, Throttled)
        async with self._database.begin() as tx:
            await tx.execute(stored, which)
        return True


def _where(row: Any) -> Mapping[str, Any]:
    return {"surface": row.surface, "place": row.place}
