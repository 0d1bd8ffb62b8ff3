"""What most parts stand on: a PostgreSQL with the product's settings, and an installation in it."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from bot.conversation.inbox import Inbox
from bot.conversation.message import IncomingMessage
from bot.store.database import Database
from bot.store.embedded import EmbeddedPostgres
from bot.store.ids import new_id
from bot.store.migrate import upgrade
from tests.support.postgres import TestServer


@asynccontextmanager
async def databases() -> AsyncIterator[Callable[[], str]]:
    """Makes fresh databases on a server of our own: fsync costs what it costs."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as directory:
        postgres = EmbeddedPostgres(Path(directory))
        try:
            await postgres.start()
            server = TestServer(maintenance_url=postgres.maintenance_url())
            server.execute("CREATE DATABASE template")
            await asyncio.to_thread(upgrade, server.url_of("template"))
            numbers = itertools.count()

            def make() -> str:
                name = f"bench{next(numbers)}"
                server.execute(f"CREATE DATABASE {name} TEMPLATE template")
                return server.url_of(name)

            yield make
            server.close()
        finally:
            await postgres.stop()


class Town:
    """An installation with a person, a project and a host, and nothing else."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url, connections_max=40)
        self.inbox = Inbox(self.database, prompt_bytes_max=100_000)
        self.person, self.project, self.host = new_id(), new_id(), new_id()

    async def settle(self) -> None:
        async with self.database.begin() as tx:
            await tx.execute(
                text("INSERT INTO person (id, name) VALUES (:id, 'Ann')"), {"id": self.person}
            )
            await tx.execute(
                text(
                    "INSERT INTO project (id, name, repository_url, agent)"
                    " VALUES (:id, 'demo', '/srv/demo', 'shell')"
                ),
                {"id": self.project},
            )
            await tx.execute(
                text(
                    "INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)"
                    " VALUES (:id, 'here', 'none', 'none', 'b', now())"
                ),
                {"id": self.host},
            )

    def message(self, place: str, said: str = "!true") -> IncomingMessage:
        key = str(uuid4())
        return IncomingMessage(
            surface="terminal",
            delivery_key=key,
            message_key=key,
            place=place,
            person_id=self.person,
            text=said,
        )
