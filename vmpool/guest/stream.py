"""One accepted unix connection: JSON header lines, each with the payload it announces."""

import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from vmpool.guest.loop import READ, WRITE, Loop
from vmpool.guest.outgoing import Outgoing
from vmpool.guest.settings import Settings

READ_BYTES = 256 * 1024
PEER = struct.Struct("3i")


class Stream:
    """Frames in and out, never blocking; a peer that breaks the form is hung up on.

    `on_drained` is called whenever a congested stream has room again.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        settings: Settings,
        on_frame: Callable[[dict[str, Any], bytes], None],
        on_close: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._settings = settings
        self._on_frame = on_frame
        self._on_close = on_close
        self.on_drained: Callable[[], None] = lambda: None
        self._incoming = bytearray()
        self._header: dict[str, Any] | None = None
        self._outgoing = Outgoing()
        self._mask = READ
        self.closed = False
        sock.setblocking(False)
        loop.watch(sock.fileno(), READ, self._ready)

    @property
    def congested(self) -> bool:
        """Whether the peer reads slower than we write."""
        return self._outgoing.length >= self._settings.connection_output_bytes_max

    @property
    def peer_pid(self) -> int:
        """The process at the other end, as the kernel knows it."""
        peer = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        return int(PEER.unpack(peer)[0])

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Queue one frame; after the close nothing happens."""
        if self.closed:
            return
        if payload:
            header = {**header, "bytes": len(payload)}
        data = json.dumps(header, separators=(",", ":")).encode() + b"\n" + payload
        self._outgoing.add(data)
        if self._mask == READ:
            self._write()

    def close(self) -> None:
        """Hang up at once; idempotent."""
        if self.closed:
            return
        self.closed = True
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._outgoing.clear()
        self._on_close()

    def _ready(self, mask: int) -> None:
        if mask & WRITE:
            self._write()
        if mask & ~WRITE and not self.closed:
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
        self._incoming += data
        try:
            while not self.closed and self._frame():
                pass
        except (ValueError, TypeError):
            self.close()

    def _frame(self) -> bool:
        if self._header is None:
            end = self._incoming.find(b"\n")
            if end < 0:
                if len(self._incoming) > self._settings.header_bytes_max:
                    raise ValueError("header too long")
                return False
            self._header = json.loads(self._incoming[:end])
            del self._incoming[: end + 1]
        size = int(self._header.get("bytes", 0))
        if not 0 <= size <= self._settings.payload_bytes_max:
            raise ValueError("payload too long")
        if len(self._incoming) < size:
            return False
        payload = bytes(self._incoming[:size])
        del self._incoming[:size]
        header, self._header = self._header, None
        self._on_frame(header, payload)
        return True

    def _write(self) -> None:
        was_congested = self.congested
        try:
            self._outgoing.write(self._socket.send)
        except OSError:
            self.close()
            return
        self._arm()
        if was_congested and not self.congested:
            self.on_drained()

    def _arm(self) -> None:
        mask = READ | WRITE if self._outgoing else READ
        if mask != self._mask:
            self._mask = mask
            self._loop.change(self._socket.fileno(), mask)


def listen(path: str, *, mode: int, group: int | None = None) -> socket.socket:
    """A listening unix socket at this path, in place of an older one."""
    if os.path.exists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    os.chmod(path, mode)
    if group is not None:
        os.chown(path, -1, group)
    sock.listen(64)
    sock.setblocking(False)
    return sock


def accept(sock: socket.socket) -> socket.socket | None:
    """The next connection that waits, if there is one."""
    try:
        return sock.accept()[0]
    except OSError:
        return None
