"""The one way to PostgreSQL: an engine, short transactions, and a listener for hints."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bot.store.transaction import NOTHING, Rows, Transaction

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5
MAPPED_CONNECTIONS_MAX = 5
"""For mapped tables, which only machines and leaders use."""
AWAY = (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError, ConnectionError)
"""What a database that is down, restarting or unreachable raises."""


def is_away(error: BaseException) -> bool:
    """Whether trying again later can help: the server is gone, not our statement wrong."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, AWAY)


class Database:
    """Short transactions: commit at the end, roll back on an error."""

    def __init__(self, url: str, *, connections_max: int = 10) -> None:
        """Make an engine for `url` (`postgresql+psycopg://…`); connects at first use."""
        self.url = url
        options: dict[str, Any] = {
            "max_overflow": 0,
            "pool_timeout": CONNECT_SECONDS,
            "connect_args": {"connect_timeout": CONNECT_SECONDS},
        }
        self.engine = create_async_engine(
            url, pool_size=min(connections_max, MAPPED_CONNECTIONS_MAX), **options
        )
        # Its transactions are begun by us, so that one statement can be one round trip.
        self._plain = create_async_engine(
            url, pool_size=connections_max, isolation_level="AUTOCOMMIT", **options
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction for plain statements; no network may be spoken inside it."""
        async with self._plain.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            tx = Transaction(driver)
            try:
                async with driver.transaction():
                    yield tx
                if not await _send(driver, tx.hints):
                    await connection.invalidate()
            except psycopg.OperationalError as error:
                await connection.invalidate(error)
                raise

    async def run(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Rows:
        """Run one statement as a transaction of its own, in one round trip."""
        async with self._plain.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                return await Transaction(driver).execute(statement, parameters)
            except psycopg.OperationalError as error:
                await connection.invalidate(error)
                raise

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction for mapped tables; no network may be spoken inside it."""
        async with self._sessions.begin() as session:
            yield session

    async def ping(self) -> None:
        """:raises Exception: when the database does not answer."""
        async with self.begin() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        await self._plain.dispose()


async def _send(driver: psycopg.AsyncConnection[Any], hints: Collection[tuple[str, str]]) -> bool:
    """Notify whoever listens, after the commit and without waiting for the disk; False: in vain.

    A transaction that notifies takes a lock of the whole server until it is on the disk, so all
    that did would commit one after the other: with four workers a third of the throughput.
    """
    if not hints:
        return True
    calls = ", ".join(["pg_notify(%s, %s)"] * len(hints))
    words = [word for hint in hints for word in hint]
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await driver.execute(
                f"SELECT set_config('synchronous_commit', 'off', true), {calls}".encode(), words
            )
    except (psycopg.Error, TimeoutError) as error:
        # What was committed stays committed; who listens also polls.
        log.warning("hints_lost", error=str(error))
        return False
    return True


class Listener:
    """Hears NOTIFY and calls back; reconnects for ever, because a hint may be lost.

    Whoever relies on it also polls: the table is the truth.
    """

    def __init__(self, url: str, *, retry_seconds: float = 1.0) -> None:
        """`url` as for `Database`."""
        self._conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._retry_seconds = retry_seconds
        self._hearers: dict[str, list[Callable[[str], None]]] = {}
        self.listening = asyncio.Event()

    def on(self, channel: str, hear: Callable[[str], None]) -> Callable[[], None]:
        """Call `hear(payload)` for each hint on `channel`; returns how to stop that."""
        self._hearers.setdefault(channel, []).append(hear)

        def off() -> None:
            with suppress(ValueError):
                self._hearers[channel].remove(hear)

        return off

    async def run(self) -> None:
        """Listen until cancelled; after a reconnect every hearer gets an empty payload."""
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                log.warning("listener_lost", error=str(error))
            self.listening.clear()
            await asyncio.sleep(self._retry_seconds)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS
        )
        async with connection:
            for channel in CHANNELS:
                await connection.execute(f'LISTEN "{channel}"'.encode())
            self.listening.set()
            for hearers in self._hearers.values():
                for hear in list(hearers):
                    hear("")
            async for hint in connection.notifies():
                for hear in list(self._hearers.get(hint.channel, ())):
                    hear(hint.payload)


READY = "ona_ready"
"""A session can be claimed; payload: host id or empty."""
EVENTS = "ona_events"
"""A session has new events; payload: session id."""
CONTROL = "ona_control"
"""A running turn is asked to stop; payload: session id."""
OUTBOX = "ona_outbox"
"""A reply is due."""
MACHINES = "ona_machines"
"""Somebody asked something of a machine's owner."""
CHANNELS = (READY, EVENTS, CONTROL, OUTBOX, MACHINES)
