"""The writable disk of a machine: an empty, sparse file system laid over the read-only image."""

import asyncio
import errno
import os
from pathlib import Path

from vmpool.errors import HostFull, HostUnfit

GIB = 1 << 30
LABEL = "ona-writable"
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


async def make_writable(disk: Path, *, gib: int) -> None:
    """Create a sparse ext4 file system of `gib`; an older file is replaced.

    Without a journal: a machine whose process died is never used again.

    :raises HostFull: no room
    :raises HostUnfit: mke2fs is missing or refuses
    """
    _make_sparse(disk, gib * GIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-m", "0", "-O", "^has_journal"]
    command += ["-E", "lazy_itable_init=1,nodiscard", str(disk)]
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise HostUnfit(f"mke2fs can't be run ({error.strerror}); install e2fsprogs") from error
    words, _ = await process.communicate()
    if process.returncode:
        text = words.decode(errors="replace").strip()
        if os.strerror(errno.ENOSPC) in text:
            raise HostFull("no room for a machine's disk")
        raise HostUnfit(f"mke2fs made no disk: {text}")


def _make_sparse(path: Path, length_bytes: int) -> None:
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, length_bytes)
    finally:
        os.close(fd)
