"""A session with threads on a fake surface, its events and replies, and who sends them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from bot.conversation.outbox import Outbox
from bot.conversation.replies import SQL as REPLIES_SQL
from bot.store.database import Database
from bot.store.ids import new_id
from bot.work.queue import Event, append_events
from tests.fakes.chat import ChatServer, FakeChat

SENDER = "tests.fakes.sender_process"
SURFACE = "fake"
AN_HOUR = 3_600.0


@dataclass(kw_only=True)
class Office:
    """One session, and whatever it has to say."""

    database: Database
    session_id: UUID
    threads: dict[str, UUID] = field(default_factory=dict)

    @classmethod
    async def open(cls, database: Database) -> "Office":
        session_id = new_id()
        async with database.begin() as tx:
            await tx.execute(
                text(
                    "INSERT INTO session (id, short, project_id, creator_id, title, agent, branch)"
                    " SELECT :id, :short, project.id, person.id, 'x', 'shell', 'ona/x'"
                    "   FROM project, person LIMIT 1"
                ),
                {"id": session_id, "short": f"s-{session_id.hex[-8:]}"},
            )
        return cls(database=database, session_id=session_id)

    async def thread(self, place: str, *, surface: str = SURFACE) -> UUID:
        """A thread that is attached now."""
        if place not in self.threads:
            self.threads[place] = new_id()
            await self.do(
                "INSERT INTO thread (id, session_id, surface, place, replied_to)"
                " SELECT :id, id, :surface, :place, event_last FROM session WHERE id = :session",
                id=self.threads[place],
                surface=surface,
                place=place,
                session=self.session_id,
            )
        return self.threads[place]

    async def turn(self, place: str) -> UUID:
        """A turn that was asked for in a thread."""
        turn_id, prompt_id = new_id(), new_id()
        await self.do(
            "INSERT INTO prompt (id, session_id, position, kind, author_id, thread_id, state)"
            " SELECT :id, id, position_last + 1, 'text', creator_id, :thread, 'done' FROM session"
            "  WHERE id = :session",
            id=prompt_id,
            thread=await self.thread(place),
            session=self.session_id,
        )
        await self.do(
            "UPDATE session SET position_last = position_last + 1 WHERE id = :session",
            session=self.session_id,
        )
        await self.do(
            "INSERT INTO turn (id, session_id, prompt_id, state)"
            " VALUES (:id, :session, :prompt, 'succeeded')",
            id=turn_id,
            session=self.session_id,
            prompt=prompt_id,
        )
        return turn_id

    async def happen(
        self,
        *events: tuple[str, Mapping[str, Any]],
        turn_id: UUID | None = None,
        ago_seconds: float = 0,
    ) -> int:
        """Append events; the number of the last one."""
        async with self.database.begin() as tx:
            last = await append_events(
                tx,
                self.session_id,
                [Event(kind=kind, body=body) for kind, body in events],
                turn_id=turn_id,
            )
            await tx.execute(
                text(
                    "UPDATE turn_event SET at = at - make_interval(secs => :ago)"
                    " WHERE session_id = :session AND number > :before"
                ),
                {"ago": ago_seconds, "session": self.session_id, "before": last - len(events)},
            )
        return last

    async def reply(
        self,
        body: str,
        *,
        place: str = "acct/t",
        key: str | None = None,
        kind: str = "notice",
        final: bool = True,
        turn_id: UUID | None = None,
    ) -> str:
        """Write a reply as the projector does, or its new wording; returns its key."""
        key = key or new_id().hex
        thread_id = await self.thread(place)
        async with self.database.begin() as tx:
            await tx.execute(
                REPLIES_SQL["put"],
                {
                    "id": new_id(),
                    "thread": thread_id,
                    "turn": turn_id,
                    "kind": kind,
                    "key": key,
                    "body": body,
                    "buttons": "[]",
                    "notify": "",
                    "final": final,
                    "live": "",
                    "language": "",
                },
            )
        return key

    async def replies(self, place: str = "acct/t") -> list[Any]:
        async with self.database.begin() as tx:
            rows = await tx.execute(
                text("SELECT * FROM reply WHERE thread_id = :thread ORDER BY created_at, id"),
                {"thread": self.threads[place]},
            )
            return list(rows)

    async def told(self) -> list[str]:
        """What the session's page says in notices."""
        async with self.database.begin() as tx:
            rows = await tx.execute(
                text(
                    "SELECT body ->> 'text' FROM turn_event"
                    " WHERE session_id = :session AND kind = 'notice' ORDER BY number"
                ),
                {"session": self.session_id},
            )
            return [row[0] for row in rows]

    async def row(self, key: str) -> Any:
        async with self.database.begin() as tx:
            rows = await tx.execute(text("SELECT * FROM reply WHERE key = :key"), {"key": key})
            return rows.one()

    async def count(self, condition: str) -> int:
        async with self.database.begin() as tx:
            found = await tx.execute(text(f"SELECT count(*) FROM reply WHERE {condition}"))
            return int(found.scalar_one())

    async def do(self, statement: str, **values: Any) -> None:
        async with self.database.begin() as tx:
            await tx.execute(text(statement), values)

    async def pass_time(self, seconds: float) -> None:
        """Let the outbox's clocks stand as if so much time had passed."""
        ago = "make_interval(secs => :seconds)"
        await self.do(
            f"UPDATE reply SET due_at = due_at - {ago}, sender_until = sender_until - {ago},"
            f" tried_at = tried_at - {ago}",
            seconds=seconds,
        )
        await self.do(f"UPDATE bucket SET filled_at = filled_at - {ago}", seconds=seconds)

    async def until(self, condition: str, count: int, seconds: float = 60) -> None:
        """Wait until so many replies fulfil the condition."""
        async with asyncio.timeout(seconds):
            while await self.count(condition) != count:
                await asyncio.sleep(0.02)


class Sending:
    """A sender of the fake surface."""

    def __init__(self, office: Office, server: ChatServer, **port: Any) -> None:
        self.office = office
        self.port = FakeChat(server.url, **port)
        self.outbox = Outbox(office.database, {SURFACE: self.port}, sender="test")

    async def once(self, *, later_seconds: float = 0) -> int:
        if later_seconds:
            await self.office.pass_time(later_seconds)
        return await self.outbox.once()


@asynccontextmanager
async def running(*outboxes: Outbox) -> AsyncIterator[asyncio.Event]:
    """Let them send; the event that is yielded stops them."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for outbox in outboxes:
            group.create_task(outbox.run(stop))
        try:
            yield stop
        finally:
            stop.set()


class SenderFactory:
    """A process that has everything imported and forks the senders."""

    def __init__(self, program: str = SENDER) -> None:
        """`program` is the module that it runs."""
        root = Path(__file__).parents[3]
        self._process = subprocess.Popen(
            [sys.executable, "-m", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=root,
        )

    def make(self, words: Sequence[str]) -> int:
        """The process id of a new sender."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        return int(self._process.stdout.readline())

    def close(self) -> None:
        with self._process as process:
            process.kill()


class Senders:
    """Real sender processes of one test."""

    def __init__(self, factory: SenderFactory, *words: str) -> None:
        """`words` are what `sender_process` is told besides how a sender behaves."""
        self._factory = factory
        self._words = words
        self._alive: set[int] = set()

    async def start(self, how: str = "plain") -> int:
        """A new sender's process id; `stops` stops itself right before its first post."""
        async with asyncio.timeout(100):
            pid = await asyncio.to_thread(self._factory.make, [how, *self._words])
        self._alive.add(pid)
        return pid

    def signal(self, pid: int, number: int) -> None:
        if pid in self._alive:
            os.kill(pid, number)
        if number == signal.SIGKILL:
            self._alive.discard(pid)

    async def until_stopped(self, pid: int) -> None:
        async with asyncio.timeout(100):
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for pid in list(self._alive):
            self.signal(pid, signal.SIGKILL)
