"""Workplaces in the machines of a pool, without a repository in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from bot.work.jobs import ChannelJobs
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.queue import Event
from bot.work.workplace import Tell, Workplace
from vmpool.pool import Pool
from vmpool.registry import Order


class PooledWorkplaces:
    """`bot.work.workplace.Workplaces` over a pool."""

    def __init__(self, pool: Pool, order: Order, directory: str) -> None:
        self._pool, self._order, self._directory = pool, order, directory
        self.entered: list[tuple[UUID, str]] = []
        """Which machine each turn ran in, and what its guest's boot is called."""

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        async def step(name: str) -> None:
            await tell(Event(kind="step", body={"step": name}))

        async with self._pool.open(
            lease.session_id, self._order, token=lease.key.token, only=None, step=step
        ) as opened:
            self.entered.append((opened.machine_id, opened.channel.boot))
            yield Workplace(
                jobs=ChannelJobs(opened.channel),
                directory=self._directory,
                materials=Materials(opened.channel, self._directory, memory=self._directory),
                machine_id=opened.machine_id,
                machine=opened.channel,
            )

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        return []

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        raise NotImplementedError
