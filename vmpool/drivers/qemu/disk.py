"""Copy-on-write disks over an image."""

import os
from pathlib import Path

from vmpool.drivers.disk import make_by
from vmpool.errors import MachineError

GIB = 1 << 30


async def make_overlay(
    qemu_img: str, overlay: Path, *, base: Path, base_format: str, disk_gib: int
) -> None:
    """Create an overlay of `disk_gib` over a base; an older one is replaced.

    :raises MachineError: the base is larger than the disk is to be
    :raises HostFull: no room
    :raises HostUnfit: the program is missing, refuses or hangs
    """
    base_bytes = os.stat(base).st_size
    if base_bytes > disk_gib * GIB:
        raise MachineError(
            f"a disk of {disk_gib} GiB is smaller than its image ({base_bytes / GIB:.1f} GiB)"
        )
    command = ["create", "-q", "-f", "qcow2", "-b", str(base), "-F", base_format, str(overlay)]
    await make_by(qemu_img, *command, f"{disk_gib}G", install="it")
