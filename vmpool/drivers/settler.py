"""Makes rests durable, compares them with what they were, and removes used ones; in threads."""

import asyncio
import logging
import threading
from collections.abc import Callable

from vmpool.drivers.home import Home

_Work = Callable[[threading.Event], str | None]

_log = logging.getLogger(__name__)


class Settler:
    """Owns the background work on rests; `close` waits for all of it."""

    def __init__(self) -> None:
        self._work: dict[str, tuple[threading.Event, asyncio.Task[str | None]]] = {}
        self._sweeping: dict[str, asyncio.Task[None]] = {}

    def begin(self, home: Home) -> None:
        """Fsync and digest the machine's complete rest, unless that is under way or done."""
        if not home.rest.settled and not self._is_busy(home):
            self._start(home, home.rest.settle)

    async def scrub(self, home: Home) -> str | None:
        """Read the machine's memory again; says what is wrong. None too while it is busy."""
        if self._is_busy(home):
            return None
        return await asyncio.shield(self._start(home, home.rest.scrub))

    def stop(self, machine_id: str) -> None:
        """Ask the work on a machine to end early; returns at once."""
        if known := self._work.get(machine_id):
            known[0].set()

    def sweep(self, home: Home) -> None:
        """Remove what the machine was resumed from; large files take their time."""
        earlier = self._sweeping.get(home.machine_id)
        task = asyncio.get_running_loop().create_task(_sweep(home, earlier))
        self._sweeping[home.machine_id] = task

    async def wait(self, machine_id: str) -> None:
        """Return when no work on the machine is under way."""
        if known := self._work.get(machine_id):
            await asyncio.wait([known[1]])
            if self._work.get(machine_id) is known:
                del self._work[machine_id]
        if sweeping := self._sweeping.get(machine_id):
            await asyncio.wait([sweeping])
            if self._sweeping.get(machine_id) is sweeping:
                del self._sweeping[machine_id]

    def _is_busy(self, home: Home) -> bool:
        known = self._work.get(home.machine_id)
        return known is not None and not known[1].done()

    def _start(self, home: Home, work: _Work) -> "asyncio.Task[str | None]":
        stop = threading.Event()
        task = asyncio.get_running_loop().create_task(_run(home.machine_id, work, stop))
        self._work[home.machine_id] = (stop, task)
        return task

    async def close(self) -> None:
        """End all work early and wait for it."""
        for machine_id in {*self._work, *self._sweeping}:
            self.stop(machine_id)
            await self.wait(machine_id)


async def _run(machine_id: str, work: _Work, stop: threading.Event) -> str | None:
    try:
        return await asyncio.to_thread(work, stop)
    except OSError as error:
        # It stays complete and not durable; the next look at it tries again.
        _log.warning("work on the rest of machine %s failed: %s", machine_id, error)
        return None


async def _sweep(home: Home, earlier: asyncio.Task[None] | None) -> None:
    if earlier is not None:
        await asyncio.wait([earlier])
    await asyncio.to_thread(home.rest.sweep)
