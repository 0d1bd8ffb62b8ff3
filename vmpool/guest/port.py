"""The byte stream to the host: a virtio-serial port found without udev, or a vsock listener.

While no host is connected a serial port is readable and hung up for ever, so it is watched
edge-triggered (an epoll of its own, nested in the loop's): the first wait says that nobody is
there, the next wake-up is somebody's connect. Connected, it is watched level-triggered.

On vsock one host is served at a time: while it is there, nobody listens, so that a second one is
refused at once.
"""

import os
import select
import socket
from collections.abc import Callable
from functools import partial

from vmpool.guest.loop import READ, WRITE, Loop
from vmpool.guest.outgoing import Outgoing

READ_BYTES = 64 * 1024
OUTPUT_BYTES_MAX = 256 * 1024
PORTS = "/sys/class/virtio-ports"
DEVICES = "/sys/bus/virtio/devices"
VSOCK_DEVICE = "0x0013"
VSOCK_PORT = 1024


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


def has_vsock() -> bool:
    """Whether the host gave us a vsock device."""
    try:
        entries = os.listdir(DEVICES)
    except OSError:
        return False
    for entry in entries:
        with open(os.path.join(DEVICES, entry, "device"), encoding="ascii") as file:
            if file.read().strip() == VSOCK_DEVICE:
                return True
    return False


def listen_on_vsock() -> socket.socket:
    """Listen where the host looks for us. :raises OSError: the device is not there yet."""
    sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        sock.bind((socket.VMADDR_CID_ANY, VSOCK_PORT))
        sock.listen(1)
    except BaseException:
        sock.close()
        raise
    return sock


class Port:
    """Bytes in both directions, and whether somebody is there.

    `on_data` gets what arrives, `on_lost` is called when the host has gone, `on_drained` when
    a congested port has room again. All three are set by the owner before the loop runs.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._connected = False
        self._reading = True
        self._outgoing = Outgoing()
        self.on_data: Callable[[bytes], None] = lambda _data: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None

    @property
    def congested(self) -> bool:
        """Whether the host takes less than we write."""
        return self._outgoing.length >= OUTPUT_BYTES_MAX

    def send(self, data: bytes) -> None:
        """Queue bytes for the host; nobody there: they are dropped."""
        if not self._connected:
            return
        self._outgoing.add(data)
        self._write()

    def pause(self) -> None:
        """Read nothing more until `resume`; a hang-up is still seen."""
        self._reading = False
        self._arm()

    def resume(self) -> None:
        """Read again; idempotent."""
        self._reading = True
        self._arm()

    def _arm(self) -> None:
        """Wait for what is wanted now."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Nobody is there any more: wait for the next."""
        raise NotImplementedError

    def _serve(self, *, readable: bool, writable: bool) -> None:
        if writable:
            self._flush()
        if readable and self._reading and self._connected:
            self._read()

    def _hung_up(self) -> None:
        if not self._connected:
            return
        self._connected = False
        self._outgoing.clear()
        self._let_go()
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
        try:
            self._outgoing.write(partial(os.write, self._fd))
        except OSError:
            self._hung_up()
            return
        self._arm()


class SerialPort(Port):
    """A virtio-serial port."""

    def __init__(self, loop: Loop, fd: int) -> None:
        super().__init__()
        self._fd = fd
        os.set_blocking(fd, False)
        self._epoll = select.epoll()
        self._epoll.register(fd, self._mask())
        loop.watch(self._epoll.fileno(), READ, lambda _mask: self._ready())

    def _mask(self) -> int:
        if not self._connected:
            return select.EPOLLIN | select.EPOLLET
        return (select.EPOLLIN if self._reading else 0) | (select.EPOLLOUT if self._outgoing else 0)

    def _arm(self) -> None:
        self._epoll.modify(self._fd, self._mask())

    def _let_go(self) -> None:
        self._arm()

    def _ready(self) -> None:
        for _fd, mask in self._epoll.poll(0):
            if mask & select.EPOLLHUP:
                self._hung_up()
                continue
            if not self._connected:
                self._connected = True
                self._reading = True
                self._arm()
            self._serve(readable=bool(mask & select.EPOLLIN), writable=bool(mask & select.EPOLLOUT))


class ListeningPort(Port):
    """A listening socket that serves one host at a time; `listen` makes it anew each time."""

    def __init__(self, loop: Loop, listen: Callable[[], socket.socket]) -> None:
        super().__init__()
        self._loop = loop
        self._listen = listen
        self._socket: socket.socket
        self._wait()

    def _wait(self) -> None:
        self._socket = self._listen()
        self._socket.setblocking(False)
        self._loop.watch(self._socket.fileno(), READ, lambda _mask: self._accept())

    def _accept(self) -> None:
        try:
            found, _ = self._socket.accept()
        except OSError:
            return  # whoever it was has gone again
        self._end_socket()
        self._socket = found
        self._socket.setblocking(False)
        self._fd = found.fileno()
        self._connected = True
        self._reading = True
        self._loop.watch(self._fd, self._mask(), self._ready)

    def _mask(self) -> int:
        # Paused, the end of the other side alone is waited for; else reading finds it, in order.
        reading = READ if self._reading else select.EPOLLRDHUP
        return reading | (WRITE if self._outgoing else 0)

    def _arm(self) -> None:
        if self._connected:
            self._loop.change(self._fd, self._mask())

    def _let_go(self) -> None:
        self._end_socket()
        self._wait()

    def _end_socket(self) -> None:
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def _ready(self, mask: int) -> None:
        if mask & select.EPOLLRDHUP and not self._reading:
            self._hung_up()
            return
        gone = mask & (select.EPOLLHUP | select.EPOLLERR)
        self._serve(readable=bool(mask & READ or gone), writable=bool(mask & WRITE))
