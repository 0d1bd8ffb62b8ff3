"""The one way to PostgreSQL: an engine, short transactions, and a listener for hints."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from psycopg.rows import namedtuple_row
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bot.store.transaction import NOTHING, Connection, Rows, Transaction

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 5
TRANSACTION_SECONDS = 20
"""A server that accepts but does not answer is as good as away."""
STATEMENT_SHARE = 0.75
"""Of that time, which one statement may take: the server itself ends it, and the transaction has
the rest to go on."""
MAPPED_CONNECTIONS_MAX = 5
"""For mapped tables, which only machines and leaders use."""
AWAY = (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError, ConnectionError)
"""What a database that is down, restarting or unreachable raises, and not it alone."""
AWAY_STATES = ("08", "28", "53100", "53300", "57P")
"""What their SQLSTATE begins with, where they have one: no connection, nobody let in, disk full,
too many connections, shut down or starting. Whatever is asked then, nobody gets it."""
PASSING_STATES = ("40001", "40P01", "53200", "55P03", "57014")
"""What one statement may meet and the next one not: it could not be done beside others, deadlock,
out of memory, a lock that did not come, cancelled."""


def conninfo(url: str) -> str:
    """The URL as libpq takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def is_away(error: BaseException) -> bool:
    """Whether the server is gone, which is no fault of what was asked: it is waited for; pure.

    Who works through rows counts no try of the one at hand then. All else may well be that row's.
    """
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    return isinstance(error, AWAY) and (not state or state.startswith(AWAY_STATES))


def may_pass(error: BaseException) -> bool:
    """Whether the same may well come off when tried again: what has to be done waits for it."""
    return is_away(error) or _state(error) in PASSING_STATES


def _state(error: BaseException) -> str:
    """What the server calls it; empty: it did not say anything."""
    known = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(known, "sqlstate", None) or "")


def _too_long(connection: Connection, seconds: float) -> psycopg.OperationalError:
    """What is said of a transaction that took too long.

    The driver has asked the server to end its statement, and closed the connection if it did not:
    a server that did is there, and it is this transaction alone that is slow.
    """
    if connection.closed:
        return psycopg.OperationalError(f"the database did not answer for {seconds:g} s")
    return psycopg.errors.QueryCanceled(f"a transaction took longer than {seconds:g} s")


class Database:
    """Short transactions: commit at the end, roll back on an error."""

    def __init__(
        self,
        url: str,
        *,
        connections_max: int = 10,
        transaction_seconds: float = TRANSACTION_SECONDS,
    ) -> None:
        """Speak to `url` (`postgresql+psycopg://…`); connects at first use."""
        self.url = url
        self._seconds_max = transaction_seconds
        self.engine = create_async_engine(
            url,
            pool_size=min(connections_max, MAPPED_CONNECTIONS_MAX),
            max_overflow=0,
            # The server knows our statements on the connection that was used last.
            pool_use_lifo=True,
            pool_timeout=CONNECT_SECONDS,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._plain = Connections(
            conninfo(url), connections_max, statement_seconds=STATEMENT_SHARE * transaction_seconds
        )
        self._hints = Hints(self.run)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction for plain statements; no network may be spoken inside it."""
        async with self._connection() as connection:
            tx = Transaction(connection)
            async with connection.transaction():
                yield tx
        self.hint(*tx.hints)

    async def run(self, statement: TextClause, parameters: Mapping[str, Any] = NOTHING) -> Rows:
        """Run one statement as a transaction of its own, in one round trip."""
        async with self._connection() as connection:
            return await Transaction(connection).execute(statement, parameters)

    def hint(self, *hints: tuple[str, str]) -> None:
        """Let those who listen look at what was committed: (channel, payload) each."""
        self._hints.send(hints)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with self._plain.one() as connection:
            try:
                async with asyncio.timeout(self._seconds_max) as limit:
                    yield connection
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise _too_long(connection, self._seconds_max) from error

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction for mapped tables; no network may be spoken inside it."""
        async with self._sessions.begin() as session:
            yield session

    async def ping(self) -> None:
        """:raises Exception: when the database does not answer."""
        await self.run(text("SELECT 1"))

    async def close(self) -> None:
        """Send the last hints and close every connection."""
        await self._hints.sent()
        await self._plain.close()
        await self.engine.dispose()


class Connections:
    """A bounded pool that connects when somebody asks, who then hears at once why it fails.

    psycopg's own pool connects in the background: whoever asks waits out a time limit, and is told
    that no connection came in time, when the server had refused it in a millisecond.
    """

    def __init__(self, conninfo: str, size: int, *, statement_seconds: float) -> None:
        """At most `size` at once; those that are free stay open.

        :param statement_seconds: after which the server ends a statement
        """
        self._conninfo = conninfo
        self._options = (
            "-c plan_cache_mode=force_generic_plan"
            f" -c statement_timeout={int(statement_seconds * 1000)}"
        )
        self._slots = asyncio.Semaphore(size)
        self._free: list[Connection] = []
        self._keeps = True

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Connection]:
        """Lend a connection, in autocommit and outside any transaction.

        :raises psycopg.OperationalError: the server can't be reached, or all are lent for too long
        """
        await self._slot()
        try:
            connection = self._free.pop() if self._free else await self._connect()
            try:
                yield connection
            finally:
                await self._take_back(connection)
        finally:
            self._slots.release()

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise psycopg.OperationalError(
                f"every connection was in use for {CONNECT_SECONDS} s"
            ) from None

    async def _connect(self) -> Connection:
        return await psycopg.AsyncConnection.connect(
            self._conninfo,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            row_factory=namedtuple_row,
            # Few statements, run often, that look up rows by keys: plan each once.
            prepare_threshold=0,
            options=self._options,
        )

    async def _take_back(self, connection: Connection) -> None:
        if self._keeps and connection.info.transaction_status is TransactionStatus.IDLE:
            self._free.append(connection)
            return
        await connection.close()
        # Most likely the server went away, and the free ones with it.
        await self._close_free()

    async def close(self) -> None:
        """Close those that are free, and what is lent when it comes back."""
        self._keeps = False
        await self._close_free()

    async def _close_free(self) -> None:
        while self._free:
            await self._free.pop().close()


class Hints:
    """Notifies whoever listens, after the commit and without holding up who committed.

    A transaction that notifies takes a lock of the whole server until it is on the disk, so all
    that did would commit one after the other. What is due while a notification is under way goes
    out with the next, each hint once.
    """

    def __init__(
        self, run: Callable[[TextClause, Mapping[str, Any]], Coroutine[Any, Any, Rows]]
    ) -> None:
        """`run` runs a statement as a transaction of its own."""
        self._run = run
        self._due: dict[tuple[str, str], None] = {}
        self._sending: asyncio.Task[None] | None = None

    def send(self, hints: Iterable[tuple[str, str]]) -> None:
        """Send soon; what is lost is found by who polls."""
        self._due.update(dict.fromkeys(hints))
        if self._due and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send())

    async def sent(self) -> None:
        """Wait until nothing is due."""
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=CONNECT_SECONDS)

    async def _send(self) -> None:
        while self._due:
            due, self._due = list(self._due), {}
            hints = {
                "channels": [channel for channel, _ in due],
                "payloads": [payload for _, payload in due],
            }
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._run(_NOTIFY, hints)
            except (psycopg.Error, TimeoutError) as error:
                # What was committed stays committed; who listens also polls.
                log.warning("hints_lost", error=str(error))


_NOTIFY = text(
    """
    SELECT set_config('synchronous_commit', 'off', true), pg_notify(channel, payload)
      FROM unnest(CAST(:channels AS text[]), CAST(:payloads AS text[])) AS due (channel, payload)
    """
)


class Listener:
    """Hears NOTIFY and calls back; reconnects for ever, because a hint may be lost.

    Whoever relies on it also polls: the table is the truth.
    """

    def __init__(self, url: str, *channels: str, retry_seconds: float = 1.0) -> None:
        """Hear `channels` at `url`; no other, since every hint wakes who listens."""
        self._channels = channels
        self._conninfo = conninfo(url)
        self._retry_seconds = retry_seconds
        self._hearers: dict[str, list[Callable[[str], None]]] = {}
        self.listening = asyncio.Event()

    def on(self, channel: str, hear: Callable[[str], None]) -> Callable[[], None]:
        """Call `hear(payload)` for each hint on `channel`; returns how to stop that."""
        if channel not in self._channels:
            raise ValueError(f"this process does not listen on {channel}")
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
        try:
            for channel in self._channels:
                await connection.execute(f'LISTEN "{channel}"'.encode())
            self.listening.set()
            for hearers in self._hearers.values():
                for hear in list(hearers):
                    hear("")
            async for hint in connection.notifies():
                for hear in list(self._hearers.get(hint.channel, ())):
                    hear(hint.payload)
        finally:
            # As its own context would, without a rollback in which a second cancel may come.
            await connection.close()


READY = "ona_ready"
"""A session can be claimed; payload: host id or empty."""
EVENTS = "ona_events"
"""A session has new events; payload: session id."""
CONTROL = "ona_control"
"""A running turn is asked to stop; payload: session id."""
OUTBOX = "ona_outbox"
"""A reply is due."""
TRIGGERS = "ona_triggers"
"""Something happened that a trigger of an automation is about."""
POLICY = "ona_policy"
"""A project has another policy; payload: project id."""
MACHINES = "ona_machines"
"""Somebody asked something of a machine's owner."""
SCHEDULES = "ona_schedules"
"""Something may be due sooner than it was."""
FIRINGS = "ona_firings"
"""Something is due."""
RUNS = "ona_runs"
"""A run has begun, or is to be stopped or gone on with."""
