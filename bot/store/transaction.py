"""A transaction of plain statements: psycopg below, the few result forms that we use above.

The queue and the inbox run a dozen short statements for each message. SQLAlchemy's asyncio layer
costs about as much as PostgreSQL for those (2.5 against 1.1 ms of processor time for twelve), so
they run on the driver itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
NOTHING: Mapping[str, Any] = {}

Connection = psycopg.AsyncConnection[Any]
"""In autocommit, with rows as named tuples."""


class Rows:
    """What a statement returned: rows whose columns are attributes, or values, or mappings."""

    def __init__(self, rows: Sequence[Any]) -> None:
        """All of them, fetched."""
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> Sequence[Any]:
        """Every one."""
        return self._rows

    def first(self) -> Any:
        """The first, or None."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        """The only one, or None. :raises ValueError: there are several."""
        if len(self._rows) > 1:
            raise ValueError(f"{len(self._rows)} rows where at most one was expected")
        return self.first()

    def one(self) -> Any:
        """The only one. :raises ValueError: none or several."""
        if len(self._rows) != 1:
            raise ValueError(f"{len(self._rows)} rows where one was expected")
        return self._rows[0]

    def scalars(self) -> "Rows":
        """The first column of each."""
        return Rows([row[0] for row in self._rows])

    def scalar_one(self) -> Any:
        """The first column of the only one. :raises ValueError: none or several."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the only one, or None."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def mappings(self) -> "Rows":
        """Each by its columns' names."""
        return Rows([row._asdict() for row in self._rows])


class Transaction:
    """An open transaction; whoever opened it commits or rolls back."""

    def __init__(self, connection: Connection) -> None:
        """`connection` is in a transaction."""
        self._connection = connection
        self.hints: dict[tuple[str, str], None] = {}
        """What is notified after the commit: (channel, payload), each once, in order."""

    def hint(self, channel: str, payload: object = "") -> None:
        """Let those who listen on the channel look, once this is committed."""
        self.hints[channel, str(payload)] = None

    async def execute(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Rows:
        """Run a statement with `:name` parameters and fetch what it returns."""
        cursor = await self._connection.execute(driver_text(statement), parameters)
        return Rows(await cursor.fetchall() if cursor.description else ())

    async def scalar(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Any:
        """The first column of the first row, or None."""
        row = (await self.execute(statement, parameters)).first()
        return None if row is None else row[0]

    def begin_nested(self) -> AbstractAsyncContextManager[Any]:
        """A part that is undone by itself when it fails."""
        return self._connection.transaction()


@lru_cache(maxsize=1024)
def driver_text(statement: TextClause) -> bytes:
    """The statement as psycopg takes it."""
    return str(statement.compile(dialect=_DIALECT)).encode()
