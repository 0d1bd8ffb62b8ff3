"""The byte stream to the host: a virtio-serial port, found without udev.

While no host is connected such a port is readable and hung up for ever, so it is watched
edge-triggered (an epoll of its own, nested in the loop's): the first wait says that nobody is
there, the next wake-up is somebody's connect. Connected, it is watched level-triggered.
"""

import os
import select
from collections import deque
from collections.abc import Callable

from vmpool.guest.loop import READ, Loop

READ_BYTES = 64 * 1024
OUTPUT_BYTES_MAX = 256 * 1024
PORTS = "/sys/class/virtio-ports"


def find_port(name: str) -> str | None:
    """The device of the port of this name, if the host gave us one."""
    try:
        entries = os.listdir(PORTS)
    except OSError:
        return None
    for entry in entries:
        with open(os.path.join(PORTS, entry, "name"), encoding="ascii") as file:
            if file.read().strip() == name:
                return f"/dev/{entry}"
    return None


class Port:
    """Bytes in both directions, and whether somebody is there.

    `on_data` gets what arrives, `on_lost` is called when the host has gone, `on_drained` when
    a congested port has room again. All three are set by the owner before the loop runs.
    """

    def __init__(self, loop: Loop, fd: int) -> None:
        self._fd = fd
        self._connected = False
        self._reading = True
        self._outgoing: deque[memoryview] = deque()
        self._outgoing_bytes = 0
        self.on_data: Callable[[bytes], None] = lambda _data: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None
        os.set_blocking(fd, False)
        self._epoll = select.epoll()
        self._epoll.register(fd, self._mask())
        loop.watch(self._epoll.fileno(), READ, lambda _mask: self._ready())

    @property
    def congested(self) -> bool:
        """Whether the host takes less than we write."""
        return self._outgoing_bytes >= OUTPUT_BYTES_MAX

    def send(self, data: bytes) -> None:
        """Queue bytes for the host; nobody there: they are dropped."""
        if not self._connected:
            return
        self._outgoing.append(memoryview(data))
        self._outgoing_bytes += len(data)
        self._write()

    def pause(self) -> None:
        """Read nothing more until `resume`; a hang-up is still seen."""
        self._reading = False
        self._arm()

    def resume(self) -> None:
        """Read again; idempotent."""
        self._reading = True
        self._arm()

    def _mask(self) -> int:
        if not self._connected:
            return select.EPOLLIN | select.EPOLLET
        return (select.EPOLLIN if self._reading else 0) | (select.EPOLLOUT if self._outgoing else 0)

    def _arm(self) -> None:
        self._epoll.modify(self._fd, self._mask())

    def _ready(self) -> None:
        for _fd, mask in self._epoll.poll(0):
            if mask & select.EPOLLHUP:
                self._hung_up()
                continue
            if not self._connected:
                self._connected = True
                self._reading = True
                self._arm()
            if mask & select.EPOLLOUT:
                self._flush()
            if mask & select.EPOLLIN and self._reading:
                self._read()

    def _hung_up(self) -> None:
        if not self._connected:
            return
        self._connected = False
        self._outgoing.clear()
        self._outgoing_bytes = 0
        self._arm()
        self.on_lost()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.on_data(data)
        else:
            self._hung_up()

    def _flush(self) -> None:
        was_congested = self.congested
        self._write()
        if was_congested and not self.congested:
            self.on_drained()

    def _write(self) -> None:
        while self._outgoing:
            try:
                count = os.write(self._fd, self._outgoing[0])
            except BlockingIOError:
                break
            except OSError:
                self._hung_up()
                return
            self._outgoing_bytes -= count
            if count < len(self._outgoing[0]):
                self._outgoing[0] = self._outgoing[0][count:]
            else:
                self._outgoing.popleft()
        self._arm()
