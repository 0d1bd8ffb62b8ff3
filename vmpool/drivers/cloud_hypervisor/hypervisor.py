"""Cloud Hypervisor as it is installed on this host. See `vmpool.drivers.hypervisor`."""

import asyncio
import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmpool.driver import MachineSpec
from vmpool.drivers.cgroup import Bounds
from vmpool.drivers.cloud_hypervisor import events, snapshot
from vmpool.drivers.cloud_hypervisor.config import fingerprint
from vmpool.drivers.cloud_hypervisor.control import (
    API_SOCKET,
    EVENTS,
    CloudHypervisorControl,
    build_name,
)
from vmpool.drivers.cloud_hypervisor.disk import copy_sparse, make_writable
from vmpool.drivers.home import Home, opened
from vmpool.drivers.host import host_cpu
from vmpool.drivers.process import read_boot_id
from vmpool.errors import HostUnfit
from vmpool.program import run
from vmpool.rest import Stamp

EVENTS_FD = 6
TESTED = (build_name("v54.0.0"),)
"""Builds that the whole driver contract was run on, as `CloudHypervisor.installed` says them."""
MAJOR_MIN = 53
"""Older ones step the guest's clock wrongly and can't map a saved memory; not tried."""
VERSION_SECONDS_MAX = 10.0
OWN_MEMORY_MIB = 128
"""Of the process beside its guest; some 20 MiB were seen."""


class CloudHypervisor:
    """`vmpool.drivers.hypervisor.Hypervisor` on Cloud Hypervisor."""

    name = "cloud-hypervisor"
    accelerator = "kvm"
    starts_ahead = True
    inherits_tap = False

    def __init__(self, *, binary: str = "cloud-hypervisor", network: bool = False) -> None:
        self.network = network
        self._binary = binary
        self._inspected: tuple[object, str] | None = None

    async def installed(self) -> str:
        """The build that is installed. :raises HostUnfit: none that is new enough."""
        return await self._build()

    async def stamp(self, spec: MachineSpec) -> Stamp:
        """Who would resume a rest here and now. :raises HostUnfit: none that is new enough."""
        return Stamp(
            build=await self._build(),
            fingerprint=fingerprint(
                spec, network=self.network, host_cpu=host_cpu(), kernel=platform.release()
            ),
            boot_id=read_boot_id(),
        )

    async def make_disk(self, disk: Path, spec: MachineSpec) -> None:
        """Create an empty file system that the guest lays over the image."""
        await make_writable(disk, gib=spec.disk_gib)

    async def clone(self, template: Home, home: Home, spec: MachineSpec) -> Sequence[str]:
        """Copy the template's disk, without its bytes where the file system can."""
        await asyncio.to_thread(copy_sparse, template.disk, home.disk)
        return snapshot.copy(template.rest.complete, home.rest.partial)

    async def command(self, home: Home, spec: MachineSpec, *, loading: bool) -> list[str]:
        """Build the command line; what the machine is, is said over the API."""
        await self._build()
        return [
            self._binary,
            "--api-socket", "fd=3",
            "--event-monitor", f"fd={EVENTS_FD}",
            "--seccomp", "true",
        ]  # fmt: skip

    def output(self, home: Home) -> Path:
        """Standard output is the guest's console."""
        return home.console

    @contextmanager
    def inherited(self, home: Home, image: Path) -> Iterator[Sequence[int]]:
        """Listen on the API socket, open cell and image, begin the events anew."""
        with ExitStack() as stack:
            api = stack.enter_context(home.listening(API_SOCKET))
            where = os.O_PATH | os.O_DIRECTORY
            places = [opened(path, where, stack) for path in (home.cell, image)]
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            yield api.fileno(), *places, opened(home.path / EVENTS, flags, stack)

    def belongings(self, home: Home) -> Sequence[Path]:
        """Its events."""
        return (home.path / EVENTS,)

    def lost(self, home: Home) -> str | None:
        """Whether its guest rebooted: it then runs on in the same process, without its memory."""
        return events.why_lost(home.path / EVENTS)

    def save_mib(self, home: Home, spec: MachineSpec, resident_mib: int) -> int:
        """Nothing of a memory that lies in a file of its own, else all of it."""
        return 0 if home.memory.exists() else spec.memory_mib

    def growth_mib(self, home: Home) -> int:
        """What of its memory's file is not on the disk yet."""
        return snapshot.growth_mib(home)

    def bounds(self, spec: MachineSpec) -> Bounds:
        """The guest's memory, and room for the process itself."""
        return Bounds(memory_mib=spec.memory_mib + OWN_MEMORY_MIB, cpus=spec.vcpus)

    async def connect(self, home: Home, *, seconds_max: float) -> CloudHypervisorControl:
        """Ask the process who it is. See `Hypervisor.connect`."""
        return await CloudHypervisorControl.connect(
            home, network=self.network, seconds_max=seconds_max
        )

    async def _build(self) -> str:
        """The installed build; from memory until the binary on disk changes."""
        path = shutil.which(self._binary)
        if path is None:
            raise HostUnfit(f"{self._binary} can't be run; install Cloud Hypervisor {MAJOR_MIN}+")
        found = os.stat(path)
        key = (path, found.st_ino, found.st_size, found.st_mtime_ns)
        if self._inspected is None or self._inspected[0] != key:
            self._inspected = (key, build_name(_new_enough(await _version(path))))
        return self._inspected[1]


async def _version(path: str) -> str:
    try:
        return (await run(path, "--version", seconds_max=VERSION_SECONDS_MAX)).words
    except (OSError, TimeoutError) as error:
        raise HostUnfit(f"{path} does not say its version ({type(error).__name__})") from error


def _new_enough(words: str) -> str:
    found = re.match(r"cloud-hypervisor (v(\d+)\.\S+)$", words, re.MULTILINE)
    if found is None:
        raise HostUnfit(f"not a version of Cloud Hypervisor: {words[:80]!r}")
    if int(found.group(2)) < MAJOR_MIN:
        raise HostUnfit(f"Cloud Hypervisor {found.group(1)} is too old; {MAJOR_MIN}+ is needed")
    return found.group(1)
