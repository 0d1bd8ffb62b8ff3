"""A database with a person, a project and a host in it, and workers without machines."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from bot.conversation.inbox import Inbox
from bot.conversation.message import Accepted, IncomingMessage
from bot.store.database import Database
from bot.store.ids import new_id
from bot.work.work_queue import WorkQueue
from tests.fakes.forge import KnowingForge
from tests.fakes.guest import HostedGuest, hosted_guest
from tests.fakes.guest_workplaces import GuestWorkplaces
from vmpool.ssh import Authority


@dataclass(kw_only=True)
class Town:
    """People talking to one installation."""

    database: Database
    inbox: Inbox
    host_id: UUID
    people: dict[str, UUID]
    said: int = 0

    async def say(self, words: str, *, by: str = "Ann", place: str = "t", **more) -> Accepted:
        """One message of a person, new each time unless `key` repeats one."""
        self.said += 1
        key = more.pop("key", f"m{self.said}")
        return await self.inbox.accept(
            IncomingMessage(
                surface="terminal",
                delivery_key=key,
                message_key=key,
                place=place,
                person_id=self.people[by],
                text=words,
                **more,
            )
        )

    async def rows(self, statement: str, **values):
        async with self.database.begin() as tx:
            return [tuple(row) for row in await tx.execute(text(statement), values)]

    async def value(self, statement: str, **values):
        (row,) = await self.rows(statement, **values)
        return row[0]

    def queue(self, owner: str, *, lease_seconds: float = 30) -> WorkQueue:
        return WorkQueue(
            self.database, owner=owner, host_id=self.host_id, lease_seconds=lease_seconds
        )


DEMO = new_id()
"""The project of every town."""


async def settle(database: Database) -> tuple[UUID, dict[str, UUID]]:
    """Insert a host, a project and two people; return the host's id and the people's."""
    host_id, people = new_id(), {"Ann": new_id(), "Bo": new_id()}
    async with database.begin() as tx:
        for name, person in people.items():
            await tx.execute(
                text("INSERT INTO person (id, name) VALUES (:id, :name)"),
                {"id": person, "name": name},
            )
        await tx.execute(
            text(
                "INSERT INTO project (id, name, repository_url, agent)"
                " VALUES (:id, 'demo', '/srv/demo', 'shell')"
            ),
            {"id": DEMO},
        )
        await tx.execute(
            text(
                "INSERT INTO host (id, name, driver, accelerator, boot_id, seen_at)"
                " VALUES (:id, 'here', 'none', 'none', 'b', now())"
            ),
            {"id": host_id},
        )
    return host_id, people


@pytest.fixture
async def town(database_url) -> AsyncIterator[Town]:
    database = Database(database_url, connections_max=20)
    host_id, people = await settle(database)
    inbox = Inbox(database, prompt_bytes_max=100_000, sizes=("small", "medium"))
    yield Town(database=database, inbox=inbox, host_id=host_id, people=people)
    await database.close()


@pytest.fixture
async def forge() -> AsyncIterator[KnowingForge]:
    """One that knows what it is told: who may do what there."""
    forge = KnowingForge()
    yield forge
    await forge.close()


@pytest.fixture
def guest() -> Iterator[HostedGuest]:
    with hosted_guest() as running:
        yield running


@pytest.fixture
async def places(guest: HostedGuest, tmp_path: Path) -> AsyncIterator[GuestWorkplaces]:
    channel = await guest.open(await Authority.load(tmp_path / "ca"))
    yield GuestWorkplaces(channel, str(tmp_path))
    await channel.close()
