"""Channels that automations watch and that their files call by name: which channel that is.

    `slack:#alerts` ─▶ asked of the surface, as the person who approved it ─▶ `slack:T0/C0`

Only a channel in which that person is can be watched in their name, so that nobody reads by an
automation what they may not read. A name that means no such channel is told, and looked for again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError, ChatPort, Deadline, FindsChannels
from bot.automate import notices
from bot.store.database import Database
from bot.words.catalogue import gettext as _

log = structlog.get_logger(__name__)

LOOKED_MAX = 50
"""Triggers in one look."""
ASK_SECONDS = 10.0
_NAMED = text(
    """
    SELECT trigger.id, trigger.match, automation.id AS automation_id, automation.name,
           ARRAY(SELECT identity.external_id FROM identity
                  WHERE identity.person_id = coalesce(automation.approved_by,
                                                      automation.creator_id)
                    AND split_part(identity.surface, ':', 1) = split_part(trigger.match, ':', 1)
                  ORDER BY identity.surface) AS accounts
      FROM automation_trigger AS trigger
      JOIN automation ON automation.id = trigger.automation_id
     WHERE trigger.kind = 'message' AND trigger.match LIKE '%:#%' AND automation.state = 'active'
     ORDER BY trigger.id LIMIT :limit
    """
)
_IS = text("UPDATE automation_trigger SET match = :match WHERE id = :id AND match = :named")


class AutomationChannels:
    """Finds channels by their names."""

    def __init__(self, database: Database, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface."""
        self._database = database
        self._ports = ports

    async def look(self) -> int:
        """Look for each that is only known by its name; how many were found."""
        rows = (await self._database.run(_NAMED, {"limit": LOOKED_MAX})).all()
        found = 0
        for row in rows:
            surface, _sep, name = row.match.partition(":")
            try:
                address = await self._asked(surface, name.removeprefix("#"), row.accounts)
            except ChatError as error:
                log.info("channel_not_asked", channel=row.match, why=str(error))
                continue
            await self._note(row, f"{surface}:{address}" if address else "")
            found += bool(address)
        return found

    async def _asked(self, surface: str, name: str, accounts: Sequence[str]) -> str | None:
        port: object = self._ports.get(surface)
        if not isinstance(port, FindsChannels):
            return None
        for account in accounts:
            person = account.rpartition("/")[2]
            address = await port.channel_of("", person, name, Deadline.after(ASK_SECONDS))
            if address:
                return address
        return None

    async def _note(self, row: Any, match: str) -> None:
        async with self._database.begin() as tx:
            if match:
                await tx.execute(_IS, {"id": row.id, "match": match, "named": row.match})
                return
            said = _(
                "{automation} is to watch {channel}, and I find no such channel in which both I and"
                " whoever approved it are: nothing is heard there. Invite me, or name its address.",
                automation=row.name,
                channel=row.match,
            )
            await notices.put(tx, row.automation_id, f"channel/{row.match}", said)
