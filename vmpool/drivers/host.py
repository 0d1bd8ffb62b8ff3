"""What this host is and has, whatever the hypervisor: its CPU, room on a disk."""

import errno
import hashlib
import os
from pathlib import Path

from vmpool.errors import HostFull

MIB = 1 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the kernel says when a file may not grow: file system, quota, file size."""


def host_cpu() -> str:
    """Digest of the CPU's model and features: memory that was saved under another may not run."""
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
