"""QEMU as it is installed on this host. See `vmpool.drivers.hypervisor`."""

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmpool.driver import MachineSpec
from vmpool.drivers.cgroup import Bounds
from vmpool.drivers.home import Home, opened
from vmpool.drivers.host import host_cpu
from vmpool.drivers.process import read_boot_id
from vmpool.drivers.qemu.argv import Accelerator, argv, fingerprint
from vmpool.drivers.qemu.build import Build, inspect
from vmpool.drivers.qemu.channel import CHANNEL_SOCKET
from vmpool.drivers.qemu.control import QMP_SOCKET, QemuControl
from vmpool.drivers.qemu.disk import make_overlay
from vmpool.rest import Stamp

OWN_MEMORY_MIB = 1536
"""Of the process beside its guest: translated code of software emulation takes up to 1 GiB."""


class Qemu:
    """`vmpool.drivers.hypervisor.Hypervisor` on QEMU."""

    name = "qemu"
    starts_ahead = False
    inherits_tap = True

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        binary: str = "qemu-system-x86_64",
        qemu_img: str = "qemu-img",
        network: bool = False,
    ) -> None:
        self.accelerator = accelerator
        self.network = network
        self._binary = binary
        self._qemu_img = qemu_img
        self._inspected: tuple[object, Build] | None = None

    async def stamp(self, spec: MachineSpec) -> Stamp:
        """Who would resume a rest here and now. :raises HostUnfit: no QEMU answers."""
        return Stamp(
            build=(await self._build()).version,
            fingerprint=fingerprint(
                spec,
                self.accelerator,
                network=self.network,
                host_cpu=host_cpu(),
                kernel=platform.release(),
            ),
            boot_id=read_boot_id(),
        )

    async def make_disk(self, disk: Path, spec: MachineSpec) -> None:
        """Create an overlay over the image's disk. See `Hypervisor.make_disk`."""
        await make_overlay(
            self._qemu_img,
            disk,
            base=spec.image.disk,
            base_format="raw",
            disk_gib=spec.disk_gib,
        )

    async def clone(self, template: Home, home: Home, spec: MachineSpec) -> Sequence[str]:
        """Create an overlay over the template's disk. See `Hypervisor.clone`."""
        os.link(template.disk, home.base)
        await make_overlay(
            self._qemu_img,
            home.disk,
            base=home.base,
            base_format="qcow2",
            disk_gib=spec.disk_gib,
        )
        return ()

    async def command(self, home: Home, spec: MachineSpec, *, loading: bool) -> list[str]:
        """Build the command line. :raises HostUnfit: no QEMU answers."""
        return argv(
            spec,
            binary=self._binary,
            name=home.machine_id,
            accelerator=self.accelerator,
            network=self.network,
            sandbox=(await self._build()).sandbox,
            cloned=home.base.exists(),
            incoming=loading,
        )

    def output(self, home: Home) -> Path:
        """Its own words; the console is a file of its own."""
        return home.log

    @contextmanager
    def inherited(self, home: Home, image: Path) -> Iterator[Sequence[int]]:
        """Listen on the control and the channel socket, open cell, image and console."""
        with ExitStack() as stack:
            control, channel = (
                stack.enter_context(home.listening(name)) for name in (QMP_SOCKET, CHANNEL_SOCKET)
            )
            where = os.O_PATH | os.O_DIRECTORY
            places = [opened(path, where, stack) for path in (home.cell, image)]
            console = opened(home.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, stack)
            yield control.fileno(), *places, channel.fileno(), console

    def belongings(self, home: Home) -> Sequence[Path]:
        """Nothing more."""
        return ()

    def lost(self, home: Home) -> str | None:
        """Never: a guest that reboots ends its process."""
        return None

    def save_mib(self, home: Home, spec: MachineSpec, resident_mib: int) -> int:
        """What was touched: pages of zeros are written as such."""
        return min(spec.memory_mib, resident_mib)

    def growth_mib(self, home: Home) -> int:
        """Nothing: its memory is in no file while it runs."""
        return 0

    def bounds(self, spec: MachineSpec) -> Bounds:
        """The guest's memory, and room for the process itself."""
        return Bounds(memory_mib=spec.memory_mib + OWN_MEMORY_MIB, cpus=spec.vcpus)

    async def connect(self, home: Home, *, seconds_max: float) -> QemuControl:
        """Connect to the control socket. See `Hypervisor.connect`."""
        return await QemuControl.connect(home, seconds_max=seconds_max)

    async def _build(self) -> Build:
        """The installed build; from memory until the binary on disk changes."""
        path = shutil.which(self._binary)
        found = os.stat(path) if path is not None else None
        key = (path, found and (found.st_ino, found.st_size, found.st_mtime_ns))
        if self._inspected is None or self._inspected[0] != key:
            self._inspected = (key, await inspect(self._binary))
        return self._inspected[1]
