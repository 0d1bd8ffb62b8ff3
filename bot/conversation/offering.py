"""Who got a pull request that we opened is told, once and alone, that the next can be theirs.

a delivery ─▶ `pull_request.offer` ─▶ taken ─▶ whispered where they asked, with a Connect button

What is lost on the way is not sent again: it is a hint, and `connect` is in the help.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.port import Button, ChatPort, Whispers
from bot.store.database import Database
from bot.words.catalogue import gettext as _
from bot.words.catalogue import nearest, speaking

log = structlog.get_logger(__name__)

HOURS = 24
"""After which nobody remembers what it is about."""

_TAKE = text(
    """
    UPDATE pull_request SET offer = false
      FROM (SELECT one.id, thread.surface, thread.place, prompt.asker, prompt.language
              FROM pull_request AS one
              JOIN LATERAL (SELECT asker, language, thread_id FROM prompt
                             WHERE prompt.session_id = one.session_id
                               AND prompt.author_id = one.asker_id AND prompt.asker <> ''
                             ORDER BY position DESC LIMIT 1) AS prompt ON true
              JOIN thread ON thread.id = prompt.thread_id
             WHERE one.offer AND thread.surface = ANY(:surfaces)
               AND one.created_at > now() - make_interval(hours => :hours)
             LIMIT 1 FOR UPDATE OF one SKIP LOCKED) AS due
     WHERE pull_request.id = due.id
    RETURNING pull_request.surface AS forge, pull_request.number, due.surface, due.place,
              due.asker, due.language
    """
)


class Offering:
    """Offers people to connect their accounts."""

    def __init__(
        self, database: Database, ports: Mapping[str, ChatPort], *, pages: str = ""
    ) -> None:
        """`ports` by surface; those that show nothing to one person alone are left alone.

        :param pages: address of our pages, where people reach them
        """
        self._database = database
        self._ports = {name: port for name, port in ports.items() if isinstance(port, Whispers)}
        self._pages = pages

    async def once(self) -> int:
        """Offer what is due now; how often that was."""
        count = 0
        wanted = {"surfaces": list(self._ports), "hours": HOURS}
        while True:
            async with self._database.begin() as tx:
                row = (await tx.execute(_TAKE, wanted)).one_or_none()
            if row is None:
                return count
            await self._offer(row)
            count += 1

    async def _offer(self, row: Any) -> None:
        port = self._ports[row.surface]
        with speaking(nearest(row.language)):
            words = _(
                "Pull request {number} was opened by the app on your behalf. Connect your account "
                "on {forge}, and the next ones are yours: say `connect {forge}` to me directly.",
                number=row.number,
                forge=row.forge,
            )
            url = f"{self._pages}/connect"
            buttons = (Button(label=_("Connect"), url=url),) if self._pages else ()
        await port.whisper(row.place, row.asker, words, buttons)
