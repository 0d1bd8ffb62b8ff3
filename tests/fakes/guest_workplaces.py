"""Workplaces whose machine is a guest program on this host; how they fail is set by a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.work.checkpoint import Checkpoints
from bot.work.jobs import ChannelJobs
from bot.work.lease import Lease, OpenTurn
from bot.work.materials import Materials
from bot.work.queue import Event
from bot.work.undoing import Undoing
from bot.work.workplace import Tell, Workplace
from vmpool.channel import Channel


class GuestWorkplaces:
    """`bot.work.workplace.Workplaces` over one channel."""

    def __init__(self, channel: Channel, directory: str) -> None:
        self._jobs = ChannelJobs(channel)
        self.channel = channel
        self._materials = Materials(channel, directory, memory=directory)
        self._directory = directory
        self.checkpoints: Checkpoints | None = None
        """Set: what is in the directory is stored after each turn."""
        self.undoing: Undoing | None = None
        self.full: Exception | None = None
        """Raised by `enter` while set."""
        self.door = asyncio.Event()
        """`enter` waits until it is open."""
        self.door.set()
        self.knocked = asyncio.Event()

    def go_through(self, channel: Channel) -> None:
        """From now on by this way, as when the one before is closed."""
        self.channel, self._jobs = channel, ChannelJobs(channel)

    @asynccontextmanager
    async def enter(
        self, lease: Lease, turn: OpenTurn | None, tell: Tell
    ) -> AsyncIterator[Workplace]:
        self.knocked.set()
        await self.door.wait()
        if self.full is not None:
            raise self.full
        yield Workplace(
            jobs=self._jobs,
            directory=self._directory,
            materials=self._materials,
            machine=self.channel,
        )

    async def checkpoint(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        if self.checkpoints is not None:
            await self.checkpoints.save(lease, turn, self.channel, directory=place.directory)
        return []

    async def undo(self, lease: Lease, turn: OpenTurn, place: Workplace) -> list[Event]:
        assert self.undoing is not None
        return await self.undoing.undo(lease, turn, self.channel, directory=place.directory)
