"""Short transactions, and single statements that somebody waits for."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from vmpool.machine import Machine, MachineState

Begin = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens a short transaction; passed in by the composition root."""

AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}
COLUMNS = ", ".join(Machine.model_fields)
"""All of a machine's; a `*` would mean others to the server once a newer version adds one."""


def at_once(begin: Begin) -> Begin:
    """The same for one statement, which commits itself: one round trip instead of three.

    Statements that belong together need `begin` itself.
    """

    @asynccontextmanager
    async def one() -> AsyncIterator[AsyncSession]:
        async with begin() as tx:
            await tx.connection(execution_options=AUTOCOMMIT)
            yield tx

    return one


async def machines(begin: Begin, statement: str, parameters: Mapping[str, Any]) -> list[Machine]:
    """Run a statement whose rows are machines, past the mapper, which takes longer than it does.

    :param begin: made by `at_once`
    :param statement: with `%(name)s` for parameters, as psycopg takes it
    """
    return [_machine(row) for row in await rows(begin, statement, parameters)]


async def rows(begin: Begin, statement: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same for rows of anything, by their columns' names."""
    async with begin() as tx:
        return await _rows(await tx.connection(), statement, parameters)


async def _rows(
    connection: AsyncConnection, statement: str, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    async with driver.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement.encode(), parameters)
        found: list[dict[str, Any]] = await cursor.fetchall()
    return found


def _machine(row: Mapping[str, Any]) -> Machine:
    return Machine(**{**row, "state": MachineState(row["state"])})
