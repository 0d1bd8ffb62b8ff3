"""One epoll, timers and children: all the concurrency the guest program has.

asyncio would do, but importing it costs a second of every boot under emulation, and its selector
can't watch edge-triggered, which an unconnected virtio port needs.
"""

import heapq
import itertools
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

EVENTS_MAX = 64
WAIT_SECONDS_MAX = 3600.0
LATE_SECONDS_MAX = 1.0
"""A wait that took longer than it should by more than this was a sleep of the whole machine."""


def report(what: str) -> None:
    """Write one line to the console, which is all the log a machine has."""
    try:
        sys.stderr.write(f"ona-guest: {what}\n")
        sys.stderr.flush()
    except OSError:
        pass


class Loop:
    """Calls back when a descriptor is ready, a time has come or a child has ended.

    Time is that in which the machine was awake: under some hypervisors the monotonic clock jumps
    by the whole time asleep, and every timer would be due at once.

    A callback that raises is reported and its descriptor no longer watched: a bug in one
    connection must not end PID 1, and must not spin either.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Callable[[int], None]] = {}
        self._gone: set[int] = set()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        """When each is due, its number among equals, and what is then called."""
        self._count = itertools.count()
        self._children: dict[int, Callable[[int], None]] = {}
        self._running = False
        self._awake = 0.0
        self._looked = time.monotonic()
        self._wake_up()

    def _wake_up(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

        def woken(_mask: int) -> None:
            os.read(reader, 4096)
            self._reap()

        self.watch(reader, READ, woken)

    def watch(self, fd: int, mask: int, callback: Callable[[int], None]) -> None:
        """Call back with the event mask whenever the descriptor is ready."""
        self._epoll.register(fd, mask)
        self._watchers[fd] = callback

    def change(self, fd: int, mask: int) -> None:
        """Wait for other events of a watched descriptor; re-arms an edge."""
        self._epoll.modify(fd, mask)

    def unwatch(self, fd: int) -> None:
        """Stop watching; must come before the descriptor is closed. Idempotent."""
        if self._watchers.pop(fd, None) is not None:
            self._gone.add(fd)
            self._epoll.unregister(fd)

    def awake(self) -> float:
        """Seconds that the machine was awake, since the loop was made."""
        self._tick(0.0)
        return self._awake

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, that long from now."""
        self._tick(0.0)
        heapq.heappush(self._timers, (self._awake + seconds, next(self._count), callback))

    def child(self, pid: int, callback: Callable[[int], None]) -> None:
        """Call back with the wait status when this child has ended."""
        self._children[pid] = callback

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            self._gone.clear()
            self._tick(0.0)
            pause = self._pause()
            ready = self._epoll.poll(pause, EVENTS_MAX)
            self._tick(pause)
            for fd, mask in ready:
                callback = self._watchers.get(fd)
                if callback is not None and fd not in self._gone:
                    self._call(partial(callback, mask), fd)
            self._fire()

    def stop(self) -> None:
        """Let `run` return after the current round."""
        self._running = False

    def _pause(self) -> float:
        if not self._timers:
            return WAIT_SECONDS_MAX
        return min(WAIT_SECONDS_MAX, max(0.0, self._timers[0][0] - self._awake))

    def _tick(self, waited_seconds_max: float) -> None:
        """Let time go on by what has passed, as far as it can have been that long."""
        now = time.monotonic()
        passed = now - self._looked
        self._looked = now
        self._awake += max(0.0, min(passed, waited_seconds_max + LATE_SECONDS_MAX))

    def _fire(self) -> None:
        self._tick(0.0)
        while self._timers and self._timers[0][0] <= self._awake:
            self._call(heapq.heappop(self._timers)[2], None)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            callback = self._children.pop(pid, None)
            if callback is not None:
                self._call(partial(callback, status), None)

    def _call(self, callback: Callable[[], None], fd: int | None) -> None:
        try:
            callback()
        except Exception:
            report(traceback.format_exc())
            if fd is not None:
                self.unwatch(fd)
