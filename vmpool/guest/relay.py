"""Between the port and `sshd -i`, over a socket pair: sshd never holds the port itself.

Handing it over was tried and fails: a dying sshd and the next one read from the same stream.
"""

import socket
from collections.abc import Callable

from vmpool.guest.login import Logins
from vmpool.guest.loop import READ, WRITE, Loop
from vmpool.guest.outgoing import Outgoing
from vmpool.guest.port import Port

READ_BYTES = 64 * 1024
TO_SSHD_BYTES_MAX = 256 * 1024


class Relay:
    """Carries bytes until one side ends; `ended` is called once, when sshd's side is closed."""

    def __init__(
        self,
        loop: Loop,
        port: Port,
        logins: Logins,
        end_seconds: float,
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._port = port
        self._logins = logins
        self._end_seconds = end_seconds
        self._ended = ended
        self._outgoing = Outgoing()
        """To sshd."""
        self._closed = False
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._pid = logins.start(theirs, lambda: None)
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._socket = ours
        self._mask = READ
        loop.watch(ours.fileno(), READ, self._ready)
        port.on_drained = self._arm

    def feed(self, data: bytes) -> None:
        """Bytes of the port, for sshd."""
        if self._closed:
            return
        self._outgoing.add(data)
        self._write()

    def close(self) -> None:
        """Hang up on sshd; it gets a moment to end by itself. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._port.on_drained = lambda: None
        self._loop.later(self._end_seconds, lambda: self._logins.end(self._pid))
        self._ended()

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._write()
        if mask & ~WRITE and not self._closed:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._port.send(data)
        self._arm()

    def _write(self) -> None:
        try:
            self._outgoing.write(self._socket.send)
        except OSError:
            self.close()
            return
        if self._outgoing.length >= TO_SSHD_BYTES_MAX:
            self._port.pause()
        elif not self._outgoing:
            self._port.resume()
        self._arm()

    def _arm(self) -> None:
        if self._closed:
            return
        mask = (0 if self._port.congested else READ) | (WRITE if self._outgoing else 0)
        if mask != self._mask:
            self._mask = mask
            self._loop.change(self._socket.fileno(), mask)
