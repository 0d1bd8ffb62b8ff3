"""Whose turn runs in a session at this moment: what between turns nobody may, is asked here."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from bot.govern.spenders import Spender, spender_of
from bot.govern.spending import SQL
from bot.store.database import Database, may_pass
from vmpool.network.gateway.ports import Identity, NoTurn, Unreachable


class Running:
    """Knows the turns that run, from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def turn_of(self, who: Identity) -> Spender:
        """For whom the machine works now.

        :raises NoTurn: for nobody
        :raises Suspended: its turn waits for a person, or for a worker that goes on with it
        :raises Unreachable: the database is away
        """
        asked = {"session": session_of(who)}
        with reached():
            row = (await self._database.run(SQL["running"], asked)).one_or_none()
        return spender_of(row)


def session_of(who: Identity) -> UUID:
    """The session that a machine works for. :raises NoTurn: none"""
    if who.session is None:
        raise NoTurn("This machine works for nobody yet.")
    return who.session


@contextmanager
def reached() -> Iterator[None]:
    """Look up inside whose turn it is. :raises Unreachable: the database is away"""
    try:
        yield
    except Exception as error:
        if not may_pass(error):
            raise
        raise Unreachable("Whose turn this is can't be looked up now.") from error
