"""The writable disk of a machine: a sparse file system that is laid over the read-only image.

A clone's disk is a copy of its template's: made of shared extents where the file system can
(XFS, btrfs), else of the data alone, so that holes stay holes.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from vmpool.drivers.disk import make_by
from vmpool.program import SYSTEM

GIB = 1 << 30
LABEL = "ona-writable"
FICLONE = 0x40049409
"""From linux/fs.h: make a file of another one's extents."""
_CAN_NOT_CLONE = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY})


async def make_writable(disk: Path, *, gib: int) -> None:
    """Create a sparse ext4 file system of `gib`; an older file is replaced.

    Without a journal: a machine whose process died is never used again. A hundredth is left to
    root: whatever an agent fills, a job can be started, and make room again.

    :raises HostFull: no room
    :raises HostUnfit: mke2fs is missing, refuses or hangs
    """
    make_sparse(disk, gib * GIB)
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-m", "1", "-O", "^has_journal"]
    command += ["-E", "lazy_itable_init=1,nodiscard", str(disk)]
    await make_by(*command, install="e2fsprogs", environment=SYSTEM)


def make_sparse(path: Path, length_bytes: int) -> None:
    """Create a file of holes, replacing an older one."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(fd, length_bytes)
    finally:
        os.close(fd)


def copy_sparse(source: Path, target: Path) -> bool:
    """Copy a file, replacing an older target; True when extents are shared. Blocking.

    :raises OSError: no room, among others
    """
    if reflink(source, target):
        return True
    with source.open("rb") as old, target.open("xb") as new:
        os.fchmod(new.fileno(), 0o600)
        length = os.fstat(old.fileno()).st_size
        for start, end in _data(old.fileno(), length):
            _copy(old.fileno(), new.fileno(), start, end)
        os.ftruncate(new.fileno(), length)
    return False


def reflink(source: Path, target: Path) -> bool:
    """Make a file of another one's extents; False, and no file, where the file system can't.

    An older target is replaced. Blocking, short.

    :raises OSError: no room, among others
    """
    target.unlink(missing_ok=True)
    with source.open("rb") as old, target.open("xb") as new:
        os.fchmod(new.fileno(), 0o600)
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
            return True
        except OSError as error:
            target.unlink()
            if error.errno not in _CAN_NOT_CLONE:
                raise
    return False


def _data(fd: int, length: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes, as (start, end) in bytes."""
    end = 0
    while end < length:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _copy(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        done = os.copy_file_range(source, target, end - start, start, start)
        if done == 0:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        start += done
