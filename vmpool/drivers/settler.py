"""Makes rests durable and removes used ones, in the background."""

import asyncio
import logging
import threading

from vmpool.drivers.home import Home

_log = logging.getLogger(__name__)


class Settler:
    """Owns the background work on rests; `close` waits for all of it."""

    def __init__(self) -> None:
        self._work: dict[str, tuple[threading.Event, asyncio.Task[None]]] = {}
        self._sweeping: dict[str, asyncio.Task[None]] = {}

    def begin(self, home: Home) -> None:
        """Fsync and digest the machine's complete rest, unless that is under way or done."""
        known = self._work.get(home.machine_id)
        if home.rest.settled or (known is not None and not known[1].done()):
            return
        stop = threading.Event()
        task = asyncio.get_running_loop().create_task(_settle(home, stop))
        self._work[home.machine_id] = (stop, task)

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

    async def close(self) -> None:
        """End all work early and wait for it."""
        for machine_id in {*self._work, *self._sweeping}:
            self.stop(machine_id)
            await self.wait(machine_id)


async def _settle(home: Home, stop: threading.Event) -> None:
    try:
        await asyncio.to_thread(home.rest.settle, stop)
    except OSError as error:
        # It stays complete and not durable; the next look at it tries again.
        _log.warning("rest of machine %s not durable: %s", home.machine_id, error)


async def _sweep(home: Home, earlier: asyncio.Task[None] | None) -> None:
    if earlier is not None:
        await asyncio.wait([earlier])
    await asyncio.to_thread(home.rest.sweep)
