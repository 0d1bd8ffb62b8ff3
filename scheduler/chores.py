"""Chores: small things done again and again, each on its own clock, none able to stop another."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from scheduler.waits import first_of

log = structlog.get_logger(__name__)

JITTER = 0.1
"""Share of the pause by which it varies, so that several processes do not move in step."""


@dataclass(frozen=True, kw_only=True)
class Chore:
    """Something to do every `seconds`, or sooner when `wake` is set."""

    name: str
    seconds: float
    run: Callable[[], Awaitable[object]]
    wake: asyncio.Event | None = None


async def run_chores(chores: Sequence[Chore], stop: asyncio.Event) -> None:
    """Run the chores until `stop`; one that fails is logged and tried again at its next time."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore, stop))


async def _repeat(chore: Chore, stop: asyncio.Event) -> None:
    while not stop.is_set():
        if chore.wake is not None:
            chore.wake.clear()
        try:
            await chore.run()
        except Exception as error:
            log.warning("chore_failed", chore=chore.name, error=str(error), exc_info=True)
        pause = chore.seconds * random.uniform(1 - JITTER, 1 + JITTER)
        wakes = () if chore.wake is None else (chore.wake,)
        await first_of(stop, *wakes, seconds_max=pause)
