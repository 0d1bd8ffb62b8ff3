"""Makes rests durable, compares them with what they were, and removes used ones; in threads."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from vmpool.drivers.home import Home
from vmpool.rest import Rest

_log = logging.getLogger(__name__)

UNHURRIED_SECONDS = 1.0
"""Until what may be resumed at once is made durable: for nothing, if it is."""


@dataclass(kw_only=True)
class _Work:
    """What is under way for one machine."""

    stop: threading.Event = field(default_factory=threading.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """The same for who waits on the loop."""
    durable: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its rest is durable, or will not be by this."""
    task: "asyncio.Task[str | None] | None" = None

    def end(self) -> None:
        """Ask it to end early."""
        self.stop.set()
        self.stopped.set()

    @property
    def is_under_way(self) -> bool:
        return self.task is not None and not self.task.done()


class Settler:
    """Owns the background work on rests; `close` waits for all of it."""

    def __init__(self) -> None:
        self._work: dict[str, _Work] = {}
        self._sweeping: dict[str, asyncio.Task[None]] = {}

    def begin_unhurried(self, home: Home) -> None:
        """As `begin`, a little later, and not at all for a rest that is resumed before."""
        if not home.rest.settled and not self._is_busy(home):
            work = _Work()
            self._start(home, work, _settled_later(home.rest, work))

    def begin(self, home: Home, *, ended: Awaitable[bool] | None = None) -> None:
        """Fsync and digest the machine's complete rest, unless that is under way or done.

        :param ended: whether its process has ended, once that is known: while it ends, the rest is
            brought to the disk; durable it is only after. None: it has no process
        """
        if not home.rest.settled and not self._is_busy(home):
            work = _Work()
            self._start(home, work, _settled(home.rest, work, ended))

    async def until_durable(self, machine_id: str) -> None:
        """Return when the machine's rest is durable, or nothing makes it so any more."""
        if work := self._work.get(machine_id):
            await work.durable.wait()

    async def scrub(self, home: Home) -> str | None:
        """Read the machine's memory again; says what is wrong. None too while it is busy."""
        if self._is_busy(home):
            return None
        work = _Work()
        task = self._start(home, work, asyncio.to_thread(home.rest.scrub, work.stop))
        return await asyncio.shield(task)

    def stop(self, machine_id: str) -> None:
        """Ask the work on a machine to end early; returns at once."""
        if work := self._work.get(machine_id):
            work.end()

    def sweep(self, home: Home) -> None:
        """Remove what the machine was resumed from; large files take their time."""
        earlier = self._sweeping.get(home.machine_id)
        task = asyncio.get_running_loop().create_task(_sweep(home, earlier))
        self._sweeping[home.machine_id] = task

    async def wait(self, machine_id: str) -> None:
        """Return when no work on the machine is under way."""
        work = self._work.get(machine_id)
        if work is not None and work.task is not None:
            await asyncio.wait([work.task])
            if self._work.get(machine_id) is work:
                del self._work[machine_id]
        if sweeping := self._sweeping.get(machine_id):
            await asyncio.wait([sweeping])
            if self._sweeping.get(machine_id) is sweeping:
                del self._sweeping[machine_id]

    def _is_busy(self, home: Home) -> bool:
        work = self._work.get(home.machine_id)
        return work is not None and work.is_under_way

    def _start(
        self, home: Home, work: _Work, does: Coroutine[None, None, str | None]
    ) -> "asyncio.Task[str | None]":
        task = asyncio.get_running_loop().create_task(_run(home.machine_id, work, does))
        work.task = task
        self._work[home.machine_id] = work
        return task

    async def close(self) -> None:
        """End all work early and wait for it."""
        for machine_id in {*self._work, *self._sweeping}:
            self.stop(machine_id)
            await self.wait(machine_id)


async def _settled(rest: Rest, work: _Work, ended: Awaitable[bool] | None) -> None:
    flushed = False
    if ended is not None:
        # The most of it is written while the process ends; what that still had under way is not.
        flushed = await asyncio.to_thread(rest.flush)
        if not await ended:
            return
    await asyncio.to_thread(rest.make_durable, flushed=flushed)
    work.durable.set()
    await asyncio.to_thread(rest.digest, work.stop)


async def _settled_later(rest: Rest, work: _Work) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(UNHURRIED_SECONDS):
            await work.stopped.wait()
    if not work.stopped.is_set():
        await _settled(rest, work, None)


async def _run(machine_id: str, work: _Work, does: Coroutine[None, None, str | None]) -> str | None:
    try:
        return await does
    except OSError as error:
        # It stays complete and not durable; the next look at it tries again, if that can help.
        _log.warning("work on the rest of machine %s failed: %s", machine_id, error)
        return None
    finally:
        work.durable.set()


async def _sweep(home: Home, earlier: asyncio.Task[None] | None) -> None:
    if earlier is not None:
        await asyncio.wait([earlier])
    await asyncio.to_thread(home.rest.sweep)
