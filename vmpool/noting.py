"""What is written down though nobody waits for it: a little later, and before the end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

log = structlog.get_logger(__name__)

LATER_SECONDS = 2.0
"""Whoever just got a machine has its first answers meanwhile."""

Write = Callable[[], Awaitable[None]]


class Notes:
    """Writes of one process of ours; one that fails is logged and lost."""

    def __init__(self, later_seconds: float = LATER_SECONDS) -> None:
        self._later_seconds = later_seconds
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, write: Write) -> None:
        """Have it written, once, at `close` at the latest."""
        task = asyncio.create_task(self._written(write))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _written(self, write: Write) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._later_seconds):
                await self._closing.wait()
        try:
            await write()
        except Exception as error:
            log.warning("not_noted", error=str(error))

    async def close(self) -> None:
        """Have all of it written now, and wait for it."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
