"""The three pipes of a job, our ends of them."""

import contextlib
import fcntl
import os
from collections.abc import Callable
from functools import partial

from vmpool.guest.loop import READ, WRITE, Loop
from vmpool.guest.outgoing import Outgoing
from vmpool.guest.spool import Spool

READ_BYTES = 256 * 1024
PIPE_BYTES = 1024 * 1024


class Output:
    """Carries what a job writes into its spool, for as long as anybody holds the other end."""

    def __init__(self, loop: Loop, fd: int, spool: Spool, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._spool = spool
        self._changed = changed
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        loop.watch(fd, READ, lambda _mask: self._ready())

    @property
    def open(self) -> bool:
        """Whether somebody may still write."""
        return self._fd >= 0

    def drain(self) -> None:
        """Take what lies in the pipe now, which is what its writers wrote before they ended."""
        for _ in range(PIPE_BYTES // 4096):
            if self._fd < 0 or not self._take():
                return

    def _ready(self) -> None:
        self._take()
        self._changed()

    def _take(self) -> bool:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._spool.append(data)
            return True
        self._loop.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._spool.close()
        return False


class Input:
    """Feeds a job what was accepted, each byte once by its offset.

    `offset` counts accepted bytes. They live in memory: this process is as old as the machine.
    """

    def __init__(self, loop: Loop, fd: int, bytes_max: int) -> None:
        self._loop = loop
        self._fd = fd
        self._bytes_max = bytes_max
        self._waiting = Outgoing()
        self._writing = False
        self._last = False
        self._room: list[Callable[[], None]] = []
        self.offset = 0
        if fd >= 0:
            os.set_blocking(fd, False)

    @property
    def open(self) -> bool:
        """Whether more can be accepted."""
        return self._fd >= 0 and not self._last

    @property
    def full(self) -> bool:
        """Whether accepting has to wait for the job to read."""
        return self.open and self._waiting.length >= self._bytes_max

    def accept(self, offset: int, data: bytes) -> int:
        """Take what is new and fits; answers the offset up to which everything is accepted.

        :raises ValueError: the offset lies beyond what was accepted
        """
        if offset > self.offset:
            raise ValueError(f"input at {offset}, but only {self.offset} bytes came before")
        new = data[self.offset - offset :]
        if not self.open:
            return self.offset
        new = new[: max(0, self._bytes_max - self._waiting.length)]
        if new:
            self.offset += len(new)
            self._waiting.add(new)
            self._write()
        return self.offset

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, when something can be accepted again or nothing ever will."""
        self._room.append(callback)

    def close(self) -> None:
        """End of input after what is accepted; idempotent."""
        self._last = True
        if not self._waiting:
            self.abandon()

    def abandon(self) -> None:
        """End of input now; idempotent."""
        if self._fd >= 0:
            if self._writing:
                self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._waiting.clear()
        self._tell()

    def _write(self) -> None:
        try:
            self._waiting.write(partial(os.write, self._fd))
        except OSError:
            self.abandon()
            return
        self._arm()

    def _arm(self) -> None:
        if self._waiting and not self._writing:
            self._writing = True
            self._loop.watch(self._fd, WRITE, lambda _mask: self._write())
        elif not self._waiting and self._writing:
            self._writing = False
            self._loop.unwatch(self._fd)
        if not self._waiting and self._last:
            self.abandon()
        elif not self.full:
            self._tell()

    def _tell(self) -> None:
        callbacks, self._room = self._room, []
        for callback in callbacks:
            callback()
