"""Whether whoever asked what is next may still ask it: people lose rights while prompts wait.

It is looked at before a machine is woken for the prompt, and once more when it is there; what the
turn begins is what was looked at, or nothing.
"""

from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import Permission
from bot.errors import NotSaid
from bot.govern.access import Act, require
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.lease import Lease
from bot.work.watching import Stopped
from bot.work.workplace import Awaited

_WAITS = N_("This turn waits: {why}. The prompt is kept and begins by itself when that is known.")
_NEXT = text(
    """
    SELECT prompt.id, prompt.author_id, prompt.read_only, session.project_id
      FROM prompt JOIN session ON session.id = prompt.session_id
     WHERE session.id = :session AND prompt.state = 'queued' ORDER BY prompt.position LIMIT 1
    """
)


class Permitted:
    """Says of the prompt that is next in a session whether it may begin."""

    def __init__(self, database: Database, rights: Rights | None, lease: Lease) -> None:
        """`rights` None: everybody of the installation may everything."""
        self._database = database
        self._rights = rights or Rights(database, {})
        self._lease = lease
        self.prompt_id: UUID | None = None
        """The prompt that was looked at last."""

    async def look(self) -> None:
        """Return if the prompt that is next may begin.

        :raises Stopped: there is none any more
        :raises NotAllowed: its author was deactivated
        :raises NotPermitted: its author may not prompt there any more
        :raises Awaited: nobody says just now whether they may
        """
        async with self._database.begin() as tx:
            prompt = (await tx.execute(_NEXT, {"session": self._lease.session_id})).one_or_none()
            who = prompt and await standing_of(tx, prompt.author_id)
        if prompt is None or who is None:
            raise Stopped
        self.prompt_id = prompt.id
        require(who, Act.PROMPT)
        if self._rights.guard:
            need = Permission.READ if prompt.read_only else Permission.WRITE
            try:
                await self._rights.require(who, prompt.project_id, need)
            except NotSaid as error:
                raise Awaited(_(_WAITS, why=error.happened)) from error
