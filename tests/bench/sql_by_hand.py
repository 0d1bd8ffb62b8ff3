"""What accepting a `!command` in a known thread costs with psycopg alone: the same statements."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import TextClause

from bot.conversation import inbox, run_aiming, threads
from bot.conversation.message import IncomingMessage
from bot.govern import halting, people
from bot.store.database import EVENTS, Hints, conninfo
from bot.store.transaction import Rows, driver_text
from bot.work import control
from bot.work.queue import POSITION_STEP, SQL
from tests.bench.town import Town

FIRST = driver_text(inbox._FIRST_DELIVERY)
PERSON = driver_text(people._BY_ID)
BY_THREAD = driver_text(threads._BY_THREAD)
RUN = driver_text(run_aiming._RUN)
READ_ON = driver_text(threads._READ_ON)
LOCK = driver_text(SQL["lock"])
TAKE = driver_text(SQL["take_position"])
INSERT = driver_text(SQL["insert_prompt"])
OPEN = driver_text(control._OPEN)
APPEND = driver_text(SQL["append"])
HALTS = driver_text(halting._HALTS)
SETTLE = driver_text(inbox._SETTLE)

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class ByHand:
    """The yardstick of `accept`; opens its threads through the real inbox once."""

    def __init__(self, town: Town, pool: AsyncConnectionPool[Connection]) -> None:
        self._town = town
        self._pool = pool
        self._known: set[str] = set()
        # Those who listen are told as ours are: after the commit, and nobody waits for it.
        self.hints = Hints(self._run)

    @classmethod
    async def open(cls, town: Town) -> "ByHand":
        pool = AsyncConnectionPool(
            conninfo(town.url),
            connection_class=Connection,
            min_size=40,
            max_size=40,
            open=False,
            kwargs={"autocommit": True},
        )
        await pool.open(wait=True)
        return cls(town, pool)

    async def close(self) -> None:
        await self.hints.sent()
        await self._pool.close()

    async def accept(self, message: IncomingMessage) -> None:
        if message.place not in self._known:
            self._known.add(message.place)
            await self._town.inbox.accept(message)
            return
        async with self._pool.connection() as connection, connection.transaction():
            session = await self._store(connection, message)
        self.hints.send([(EVENTS, str(session))])

    async def _run(self, statement: TextClause, parameters: Mapping[str, Any]) -> Rows:
        async with self._pool.connection() as connection:
            await connection.execute(driver_text(statement), parameters)
        return Rows(())

    async def _store(self, connection: Connection, message: IncomingMessage) -> UUID:
        delivery, prompt = uuid4(), uuid4()
        first = {
            "id": delivery,
            "surface": message.surface,
            "delivery_key": message.delivery_key,
            "message_key": message.message_key,
            "person": message.person_id,
            "text": "",
        }
        await _row(connection, FIRST, first)
        async with connection.transaction():
            session, short, event = await _queue(connection, message, prompt)
        settled = {
            "id": delivery,
            "session": session,
            "prompt": prompt,
            "text": message.text,
            "event": event,
            "quoted": "[]",
            "answer": json.dumps({"session": short, "event": event}),
        }
        await connection.execute(SETTLE, settled)
        return session


async def _queue(
    connection: Connection, message: IncomingMessage, prompt: UUID
) -> tuple[UUID, str, int]:
    """Put the prompt into the thread's session; the session, its short id and the event."""
    await _row(connection, PERSON, {"person": message.person_id})
    here = {"surface": message.surface, "place": message.place}
    thread, session, short, *_ = await _row(connection, BY_THREAD, here)
    known = {"session": session}
    await connection.execute(RUN, known)
    await connection.execute(READ_ON, {"thread": thread, "ever": threads.EVER})
    await _row(connection, LOCK, known)
    (position,) = await _row(connection, TAKE, {**known, "step": POSITION_STEP})
    inserted = {
        **known,
        "prompt": prompt,
        "position": position,
        "kind": "command",
        "author": message.person_id,
        "thread": thread,
        "asker": message.asker,
        "language": message.language,
        "kept_back": False,
        "read_only": False,
        **dict.fromkeys(("agent", "model", "repeats")),
    }
    await connection.execute(INSERT, inserted)
    place = len(await (await connection.execute(OPEN, known)).fetchall())
    appended = {
        **known,
        **dict.fromkeys(("turn", "token", "owner")),
        "kinds": ["prompt.queued"],
        "bodies": [json.dumps({"prompt": str(prompt), "place": place})],
    }
    (event,) = await _row(connection, APPEND, appended)
    await (await connection.execute(HALTS)).fetchall()
    return session, short, event


async def _row(
    connection: Connection, statement: bytes, parameters: Mapping[str, Any]
) -> tuple[Any, ...]:
    """The row that a statement returns."""
    row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None
    return row
