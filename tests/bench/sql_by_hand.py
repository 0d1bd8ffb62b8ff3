"""What accepting a `!command` in a known thread costs with psycopg alone: the same statements."""

import json
from uuid import uuid4

from psycopg_pool import AsyncConnectionPool
from sqlalchemy import TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from bot.conversation import inbox, threads
from bot.work import control
from bot.work.queue import POSITION_STEP, SQL


def plain(statement: TextClause) -> bytes:
    """The statement as psycopg takes it."""
    return str(statement.compile(dialect=PGDialect_psycopg())).encode()


FIRST = plain(inbox._FIRST_DELIVERY)
PERSON = plain(inbox._PERSON)
SETTLE = plain(inbox._SETTLE)
BY_THREAD = plain(threads._BY_THREAD)
OPEN = plain(control._OPEN)
LOCK = plain(SQL["lock"])
TAKE = plain(SQL["take_position"])
INSERT = plain(SQL["insert_prompt"])
APPEND = plain(SQL["append"])
NOTIFY = b"SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"


class ByHand:
    """The yardstick of `accept`; opens its threads through the real inbox once."""

    def __init__(self, town, pool: AsyncConnectionPool) -> None:
        self._town = town
        self._pool = pool
        self._known: set[str] = set()

    @classmethod
    async def open(cls, town) -> "ByHand":
        conninfo = town.url.replace("postgresql+psycopg://", "postgresql://", 1)
        pool = AsyncConnectionPool(
            conninfo, min_size=40, max_size=40, open=False, kwargs={"autocommit": True}
        )
        await pool.open(wait=True)
        return cls(town, pool)

    async def close(self) -> None:
        await self._pool.close()

    async def accept(self, message) -> None:
        if message.place not in self._known:
            self._known.add(message.place)
            await self._town.inbox.accept(message)
            return
        async with self._pool.connection() as connection:
            async with connection.transaction():
                session = await self._store(connection.cursor(), message)
            await connection.execute(NOTIFY, ("ona_events", str(session)))

    async def _store(self, cursor, message) -> object:
        delivery, prompt = uuid4(), uuid4()
        await cursor.execute(
            FIRST,
            {
                "id": delivery,
                "surface": message.surface,
                "delivery_key": message.delivery_key,
                "message_key": message.message_key,
                "person": message.person_id,
                "text": "",
            },
        )
        await cursor.execute("SAVEPOINT one")
        await cursor.execute(PERSON, {"person": message.person_id})
        await cursor.execute(BY_THREAD, {"surface": message.surface, "place": message.place})
        thread, session, short = await cursor.fetchone()
        await cursor.execute(LOCK, {"session": session})
        await cursor.execute(TAKE, {"session": session, "step": POSITION_STEP})
        (position,) = await cursor.fetchone()
        await cursor.execute(
            INSERT,
            {
                "prompt": prompt,
                "session": session,
                "position": position,
                "kind": "command",
                "author": message.person_id,
                "thread": thread,
                "asker": message.asker,
                "language": message.language,
                "read_only": False,
            },
        )
        await cursor.execute(OPEN, {"session": session})
        place = len(await cursor.fetchall())
        await cursor.execute(
            APPEND,
            {
                "session": session,
                "turn": None,
                "token": None,
                "owner": None,
                "kinds": ["prompt.queued"],
                "bodies": [json.dumps({"prompt": str(prompt), "place": place})],
            },
        )
        (event,) = await cursor.fetchone()
        await cursor.execute("RELEASE SAVEPOINT one")
        await cursor.execute(
            SETTLE,
            {
                "id": delivery,
                "session": session,
                "prompt": prompt,
                "text": message.text,
                "event": event,
                "answer": json.dumps({"session": short, "event": event}),
            },
        )
        return session
