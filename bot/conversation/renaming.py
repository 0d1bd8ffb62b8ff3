"""A thread's name that somebody changed on its surface becomes the session's title."""

from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Renamed
from adapters.forge.port import Permission
from bot.conversation.acquaintance import Acquaintances
from bot.errors import Refused
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.words.catalogue import gettext as _
from bot.words.listening import name_of
from bot.work.control import Actor
from bot.work.titling import Somewhere, take_over

log = structlog.get_logger(__name__)

_THREAD = text(
    """
    SELECT thread.id, thread.session_id, session.project_id
      FROM thread JOIN session ON session.id = thread.session_id
     WHERE thread.surface = :surface AND thread.place = :place
    """
)


class Renaming:
    """Takes titles over from surfaces."""

    def __init__(self, database: Database, rights: Rights) -> None:
        """`rights` says who may; where the surface does not tell who did it, it let them."""
        self._database = database
        self._rights = rights

    async def take(self, renamed: Renamed, people: Acquaintances) -> None:
        """Let the session of the thread be called so; idempotent."""
        author = renamed.author
        if author is not None and (author.standing != "member" or renamed.spot.shared):
            return
        try:
            actor = None
            if author is not None:
                actor = (await people.meet(author, renamed.spot.surface)).actor
            await self._rights.settled(lambda: self._take(renamed, actor))
        except Refused as refusal:
            log.info("title_not_taken", place=renamed.spot.place, why=str(refusal))

    async def _take(self, renamed: Renamed, actor: Actor | None) -> None:
        where = {"surface": renamed.spot.surface, "place": renamed.spot.place}
        async with self._database.begin() as tx:
            thread: Any = (await tx.execute(_THREAD, where)).one_or_none()
            if thread is None:
                return
            if actor is not None and self._rights.guard:
                standing = await standing_of(tx, actor.id)
                await self._rights.check(tx, standing, thread.project_id, Permission.WRITE)
            surface = renamed.spot.surface
            somebody = _("Somebody on {surface}", surface=name_of(surface))
            there = Somewhere(
                thread_id=thread.id,
                name=actor.name if actor else somebody,
                person_id=actor.id if actor else None,
            )
            await take_over(tx, thread.session_id, there, renamed.title)
