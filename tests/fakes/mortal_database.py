"""The database as a process has it that ends, or is cut off from it, at one step.

A step is a statement, a commit, or the answer to a commit that was made. A process that is killed
does nothing more, and what it had not committed is gone. One that is cut off lives on: its
transaction is gone, or was committed without its hearing of it.
"""

import enum
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy import TextClause

from bot.store.database import Database
from bot.store.transaction import NOTHING, Rows, Transaction


class End(enum.StrEnum):
    """What happens at the step."""

    KILLED = "killed"
    CUT_OFF = "cut off"


class Killed(BaseException):
    """The process does not live any more."""


class MortalDatabase(Database):
    """Ends at its step number `at`, counted from 1; 0: never."""

    def __init__(self, url: str, *, at: int, end: End) -> None:
        super().__init__(url, connections_max=4)
        self._left = at
        self._end = end
        self._dead = False
        self.ended = False
        """Whether the step was reached."""

    def spare(self) -> None:
        """End no more: what was not reached by now is not reached later."""
        self._left = 0

    async def aclose(self) -> None:
        await self.close()

    def _step(self) -> None:
        if self._dead:
            raise Killed
        self._left -= 1
        if self._left == 0:
            self.ended = True
            if self._end is End.CUT_OFF:
                raise psycopg.OperationalError("the connection to the server is lost")
            self._dead = True
            raise Killed

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with super().begin() as tx:
            yield _Counted(tx, self)  # type: ignore[misc]
            self._step()
        self._step()

    async def run(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Rows:
        self._step()
        found = await super().run(statement, parameters)
        self._step()
        return found

    def hint(self, *hints: tuple[str, str]) -> None:
        """Nobody listens in these tests; a hint that is lost is one of the things that happen."""


class _Counted:
    """A transaction each of whose statements is a step."""

    def __init__(self, tx: Transaction, database: MortalDatabase) -> None:
        self._tx = tx
        self._database = database

    async def execute(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Rows:
        self._database._step()
        return await self._tx.execute(statement, parameters)

    async def scalar(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Any:
        self._database._step()
        return await self._tx.scalar(statement, parameters)

    def begin_nested(self) -> AbstractAsyncContextManager[Any]:
        return self._tx.begin_nested()

    def hint(self, channel: str, payload: object = "") -> None:
        self._tx.hint(channel, payload)
