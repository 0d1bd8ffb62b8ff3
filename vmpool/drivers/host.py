"""What this host is and has, whatever the hypervisor: its CPU, room on a disk."""

import errno
import functools
import hashlib
import os
from pathlib import Path

from vmpool.driver import MachineSpec
from vmpool.errors import HostFull, HostUnfit

MIB = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the kernel says when a file may not grow: file system, quota, file size."""


def is_no_room(error: Exception) -> bool:
    """Whether an error is, or quotes, the kernel's word that a file may not grow."""
    return any(os.strerror(number) in str(error) for number in NO_ROOM)


@functools.cache
def host_cpu() -> str:
    """Digest of the CPU's model and features: memory that was saved under another may not run.

    Read once: the kernel measures every CPU's frequency to answer.
    """
    first = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    named = [line for line in first if line.startswith(("model name", "flags", "Features"))]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


def demand_room(where: Path, *, mib: int, reserve_mib: int) -> None:
    """Make sure that `mib` fit and `reserve_mib` are left. :raises HostFull: they don't."""
    found = os.statvfs(where)
    free_mib = found.f_bavail * found.f_frsize // MIB
    if free_mib < mib + reserve_mib:
        raise HostFull(
            f"{free_mib} MiB are free, {mib} MiB are needed and {reserve_mib} MiB must be left"
        )


def demand_image(spec: MachineSpec) -> None:
    """Make sure that a machine's image is there. :raises HostUnfit: it is not, or not whole"""
    image = spec.image
    for path in (image.kernel, image.initrd, image.disk):
        if not path.is_file():
            raise HostUnfit(f"the image lacks {path.name}; build it again")
        if path.parent != image.disk.parent:
            raise HostUnfit(f"the image's {path.name} is not beside its disk; build it again")


def resident_mib(pid: int) -> int:
    """How much memory a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MIB
