"""Who is in which channel of a surface, and where somebody is reached alone.

Both ask the surface, so neither is done inside a transaction.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from adapters.chat.port import ChatPort, Confides, Deadline, Gone, KnowsMembers, Rejected
from bot.store.database import Database

ASK_SECONDS_MAX = 5.0
_ACCOUNT = text(
    """
    SELECT external_id FROM identity
     WHERE person_id = :person
       AND (surface = CAST(:surface AS text) OR starts_with(surface, CAST(:surface AS text) || ':'))
     ORDER BY surface = CAST(:surface AS text) || ':' || split_part(CAST(:address AS text), '/', 1)
              DESC, id
     LIMIT 1
    """
)


class Membership:
    """Asks the surfaces of the installation."""

    def __init__(self, database: Database, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface; one that knows no members has no channels either."""
        self._database = database
        self._ports = ports

    async def is_in(self, surface: str, channel: str, person_id: UUID) -> bool:
        """Whether a person may read a channel, by its address. :raises ChatError: not known"""
        if not isinstance(self._ports.get(surface), KnowsMembers):
            return True
        account = await self._account(surface, channel, person_id)
        return bool(account) and await self.has(surface, channel, account)

    async def has(self, surface: str, channel: str, account: str) -> bool:
        """The same of somebody as the surface calls them. :raises ChatError:"""
        port: object = self._ports.get(surface)
        if not isinstance(port, KnowsMembers):
            return True
        try:
            return await port.is_member(channel, account, Deadline.after(ASK_SECONDS_MAX))
        except (Gone, Rejected):
            return False

    async def alone(self, surface: str, near: str, person_id: UUID) -> str:
        """Place of our conversation with a person; empty: there is none. :raises ChatError:"""
        account = await self._account(surface, near, person_id)
        return await self.alone_with(surface, near, account) if account else ""

    async def alone_with(self, surface: str, near: str, account: str) -> str:
        """The same with somebody as the surface calls them. :raises ChatError:"""
        port: object = self._ports.get(surface)
        if not isinstance(port, Confides):
            return ""
        try:
            return await port.confide(near, account, Deadline.after(ASK_SECONDS_MAX))
        except (Gone, Rejected):
            return ""

    async def _account(self, surface: str, address: str, person_id: UUID) -> str:
        """What the surface calls a person; empty: it does not know them."""
        asked = {"person": person_id, "surface": surface, "address": address}
        return str((await self._database.run(_ACCOUNT, asked)).scalar_one_or_none() or "")
