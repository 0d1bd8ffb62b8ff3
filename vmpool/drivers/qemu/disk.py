"""Copy-on-write disks over an image."""

import asyncio
import errno
import os
from pathlib import Path

from vmpool.drivers.host import DISK_SECONDS_MAX, words_of
from vmpool.errors import HostFull, HostUnfit, MachineError

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
    try:
        process = await asyncio.create_subprocess_exec(
            qemu_img, *command, f"{disk_gib}G",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    except OSError as error:
        raise HostUnfit(f"{qemu_img} can't be run ({error.strerror}); install it") from error
    try:
        text = await words_of(process, seconds_max=DISK_SECONDS_MAX)
    except TimeoutError as error:
        why = f"{qemu_img} took longer than {DISK_SECONDS_MAX:g} s"
        raise HostUnfit(f"{why}; look at the disk of the machines") from error
    if process.returncode:
        if os.strerror(errno.ENOSPC) in text:
            raise HostFull("no room for a machine's disk")
        raise HostUnfit(f"{qemu_img} made no disk: {text}")
