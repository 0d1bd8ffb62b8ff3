"""The guest's listening port: one host at a time, and nobody listens meanwhile."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmpool.guest import loop as loop_module
from vmpool.guest.loop import Loop
from vmpool.guest.port import OUTPUT_BYTES_MAX, ListeningPort

SECONDS_MAX = 10


class Rig:
    """A port on a unix socket, echoing; hosts are blocking clients in a thread."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "port")
        self.loop = Loop()
        self.lost = 0
        self.got = b""
        self.port = ListeningPort(self.loop, self._listen)
        self.port.on_data = self._on_data
        self.port.on_lost = self._on_lost

    def _listen(self) -> socket.socket:
        Path(self.path).unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(self.path)
        sock.listen(1)
        self.listener = sock
        return sock

    def _on_data(self, data: bytes) -> None:
        self.got += data
        self.port.send(data)

    def _on_lost(self) -> None:
        self.lost += 1

    def connect(self) -> socket.socket:
        """Connect as a host does: refused means that somebody is there, so try again."""
        until = time.monotonic() + SECONDS_MAX
        while True:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(SECONDS_MAX)
            try:
                sock.connect(self.path)
                return sock
            except (ConnectionRefusedError, FileNotFoundError):
                sock.close()
                assert time.monotonic() < until
                time.sleep(0.005)

    def wait_until(self, there: Callable[[], bool]) -> None:
        """In the script's thread: what the loop's does comes about."""
        until = time.monotonic() + SECONDS_MAX
        while not there():
            assert time.monotonic() < until
            time.sleep(0.005)

    def play(self, script: Callable[[], None]) -> None:
        """Run the loop until the script, in a thread, has ended."""
        failures: list[BaseException] = []

        def run() -> None:
            try:
                script()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)

        def look() -> None:
            if thread.is_alive():
                self.loop.later(0.01, look)
            else:
                self.loop.stop()

        thread.start()
        # Not at once: a loop that was stopped before it ran runs for ever.
        self.loop.later(0.0, look)
        self.loop.run()
        thread.join()
        if failures:
            raise failures[0]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A loop takes them for itself, which only a guest program may."""
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.port._end_socket()


def echoed(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    found = b""
    while len(found) < len(data):
        found += sock.recv(65536)
    return found


def test_hosts_are_served_one_after_the_other(rig: Rig) -> None:
    def script() -> None:
        for text in (b"one", b"two"):
            with rig.connect() as sock:
                assert echoed(sock, text) == text
        rig.wait_until(lambda: rig.lost == 2)

    rig.play(script)


def test_a_second_host_is_refused_while_the_first_is_there(rig: Rig) -> None:
    def script() -> None:
        with rig.connect() as first:
            assert echoed(first, b"mine") == b"mine"
            with socket.socket(socket.AF_UNIX) as second, pytest.raises(OSError, match="refused"):
                second.connect(rig.path)
            assert echoed(first, b"still") == b"still"

    rig.play(script)


def test_a_port_that_reads_nothing_still_sees_the_host_go(rig: Rig) -> None:
    rig.port.on_data = lambda _data: rig.port.pause()

    def script() -> None:
        with rig.connect() as sock:
            sock.sendall(b"x")
        rig.wait_until(lambda: rig.lost == 1)
        with rig.connect() as sock:
            sock.sendall(b"y")
        rig.wait_until(lambda: rig.lost == 2)

    rig.play(script)


def test_what_the_host_does_not_take_is_waited_for(rig: Rig) -> None:
    drained: list[int] = []
    rig.port.on_data = lambda _data: rig.port.send(b"z" * (8 * OUTPUT_BYTES_MAX))
    rig.port.on_drained = lambda: drained.append(1)

    def script() -> None:
        with rig.connect() as sock:
            sock.sendall(b"more")
            rig.wait_until(lambda: rig.port.congested)
            left = 8 * OUTPUT_BYTES_MAX
            while left:
                left -= len(sock.recv(65536))
            rig.wait_until(lambda: drained == [1])

    rig.play(script)


def test_a_sleep_of_the_machine_makes_no_timer_due(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: now)
    loop = Loop()
    fired: list[str] = []
    loop.later(30, lambda: fired.append("due"))
    loop.later(0.01, loop.stop)
    now += 1000  # asleep
    loop.run()
    assert fired == []
    loop.later(0.01, loop.stop)
    for _ in range(40):
        now += 1
        loop.later(0, loop.stop)
        loop.run()
    assert fired == ["due"]
