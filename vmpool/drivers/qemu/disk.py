"""Copy-on-write disks over an image."""

import asyncio
import errno
import os
from pathlib import Path

from vmpool.errors import HostFull, HostUnfit, MachineError

GIB = 1 << 30


async def make_overlay(
    qemu_img: str, overlay: Path, *, base: Path, base_format: str, disk_gib: int
) -> None:
    """Create an overlay of `disk_gib` over a base; an older one is replaced.

    :raises MachineError: the base is larger than the disk is to be
    :raises HostFull: no room
    :raises HostUnfit: the program is missing or refuses
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
    words, _ = await process.communicate()
    if process.returncode:
        text = words.decode(errors="replace").strip()
        if os.strerror(errno.ENOSPC) in text:
            raise HostFull("no room for a machine's disk")
        raise HostUnfit(f"{qemu_img} made no disk: {text}")
