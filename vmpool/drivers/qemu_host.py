"""What this host gives to a QEMU machine: the installed build, the accelerator, the CPU."""

import hashlib
import os
import shutil
from pathlib import Path

from vmpool.driver import MachineSpec
from vmpool.drivers.process import read_boot_id
from vmpool.drivers.qemu_argv import Accelerator, fingerprint
from vmpool.drivers.qemu_build import Build, inspect
from vmpool.rest import Stamp


class QemuHost:
    """Answers from memory until the binary on disk changes."""

    def __init__(self, qemu: str, accelerator: Accelerator) -> None:
        self._qemu = qemu
        self._accelerator = accelerator
        self._inspected: tuple[object, Build] | None = None

    async def build(self) -> Build:
        """The installed build. :raises HostUnfit: there is none that answers."""
        path = shutil.which(self._qemu)
        found = os.stat(path) if path is not None else None
        key = (path, found and (found.st_ino, found.st_size, found.st_mtime_ns))
        if self._inspected is None or self._inspected[0] != key:
            self._inspected = (key, await inspect(self._qemu))
        return self._inspected[1]

    async def stamp(self, spec: MachineSpec) -> Stamp:
        """Who would resume a rest here and now. :raises HostUnfit: as `build`."""
        return Stamp(
            build=(await self.build()).version,
            fingerprint=self.fingerprint(spec),
            boot_id=read_boot_id(),
        )

    def fingerprint(self, spec: MachineSpec) -> str:
        """Digest of what a machine started here would be."""
        return fingerprint(spec, self._accelerator, host_cpu=_host_cpu())


def _host_cpu() -> str:
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    named = [line for line in first if line.startswith(("model name", "flags", "Features"))]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()
