"""Whom a reminder is for, as the surface knows them: channels by name, and people elsewhere.

#team ─▶ the channel of that name that its author is in
@ben  ─▶ reads here: notified here; does not: our conversation with them alone, if there is one
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import text

from adapters.chat.incoming import Said
from adapters.chat.port import ChatError
from bot.conversation.hints import Hints
from bot.conversation.membership import Membership
from bot.store.database import Database
from bot.store.transaction import Transaction

log = structlog.get_logger(__name__)

_NAMED = text(
    """
    SELECT DISTINCT external_id, name FROM identity
     WHERE (surface = CAST(:surface AS text) OR starts_with(surface, CAST(:surface AS text) || ':'))
       AND lower(name) = lower(CAST(:name AS text))
     LIMIT 2
    """
)


async def named(tx: Transaction, surface: str, name: str) -> Any | None:
    """`external_id` and `name` of the one account of that name; None: there are none, or more."""
    found = (await tx.execute(_NAMED, {"surface": surface, "name": name})).all()
    return found[0] if len(found) == 1 else None


class Addressees:
    """Finds them, outside of any transaction."""

    def __init__(self, database: Database, hints: Hints, members: Membership) -> None:
        """Nothing is kept between two messages."""
        self._database = database
        self._hints = hints
        self._members = members

    async def places(self, said: Said, whom: Sequence[str]) -> Mapping[str, str]:
        """Addresses by what was said: of channels, and of conversations with people elsewhere."""
        found: dict[str, str] = {}
        for one in whom:
            if one.startswith("#"):
                found[one] = await self._hints.channel_of(said, one[1:])
            elif one.startswith("@"):
                found[one] = await self._elsewhere(said, one[1:])
        return {one: address for one, address in found.items() if address}

    async def _elsewhere(self, said: Said, name: str) -> str:
        """Where somebody reads who does not read here; empty: they do, or nobody knows where."""
        spot = said.spot
        async with self._database.begin() as tx:
            known = await named(tx, spot.surface, name)
        if known is None:
            return ""
        try:
            if not spot.direct and await self._members.has(
                spot.surface, spot.channel, known.external_id
            ):
                return ""
            return await self._members.alone_with(spot.surface, spot.place, known.external_id)
        except ChatError as error:
            log.info("person_not_reached", surface=spot.surface, why=str(error))
            return ""
