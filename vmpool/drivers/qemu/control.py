"""One live QEMU process over its control socket. See `vmpool.drivers.hypervisor.Control`."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from vmpool.driver import MachineSpec
from vmpool.drivers.home import Home
from vmpool.drivers.qemu import memory
from vmpool.drivers.qemu.channel import open_channel
from vmpool.drivers.qemu.qmp import Qmp
from vmpool.rest import MEMORY

QMP_SOCKET = "qmp.sock"


class QemuControl:
    """Made by `connect`, ended by `close`."""

    def __init__(self, home: Home, qmp: Qmp) -> None:
        self.version = qmp.version
        self._home = home
        self._qmp = qmp

    @classmethod
    async def connect(cls, home: Home, *, seconds_max: float) -> Self:
        """Connect to the process of a machine. See `Hypervisor.connect`."""
        qmp = await Qmp.greet(home.connect(QMP_SOCKET), seconds_max=seconds_max)
        return cls(home, qmp)

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._qmp.closed

    async def has_machine(self) -> bool:
        """Always: a QEMU process is its machine."""
        return True

    async def boot(self, spec: MachineSpec) -> None:
        """Nothing to do: the command line said it all. Waits until it is known to be up."""
        await memory.is_running(self._qmp)

    async def pause(self) -> bool:
        """Stop the virtual CPUs; whether they ran."""
        ran = await memory.is_running(self._qmp)
        await self._qmp.execute("stop")
        return ran

    async def unpause(self) -> None:
        """Let the virtual CPUs go on."""
        await self._qmp.execute("cont")

    async def save(self, into: Path, *, seconds_max: float) -> Sequence[str]:
        """Write memory and device state into one file. See `Control.save`."""
        await memory.prepare(self._qmp)
        with _opened(into / MEMORY, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            await memory.save(self._qmp, file, seconds_max=seconds_max)
        return ()

    async def cancel(self) -> None:
        """End a save that may be under way."""
        await memory.cancel(self._qmp)

    async def load(self, rest: Path, *, seconds_max: float) -> None:
        """Read memory and device state from one file. See `Control.load`."""
        await memory.prepare(self._qmp)
        with _opened(rest / MEMORY, os.O_RDONLY) as file:
            await memory.load(self._qmp, file, seconds_max=seconds_max)

    async def open_channel(self) -> socket.socket:
        """Connect the byte stream. See `Control.open_channel`."""
        return await open_channel(self._home, self._qmp)

    def farewell(self) -> str | None:
        """Whether the guest shut itself down."""
        for event in reversed(self._qmp.events):
            if event["event"] == "SHUTDOWN" and event.get("data", {}).get("guest"):
                return "the guest shut itself down"
        return None

    async def drained(self, *, seconds_max: float) -> None:
        """Wait until the last events of an ended process are read."""
        await self._qmp.drained(seconds_max=seconds_max)

    async def close(self) -> None:
        """Let go of the socket."""
        await self._qmp.close()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor to hand to a process; files it creates are for the owner only."""
    fd = os.open(path, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
