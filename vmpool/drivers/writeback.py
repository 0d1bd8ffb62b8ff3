"""Having what is dirty of a file written early, so that whoever waits for the disk waits less."""

import contextlib
import ctypes
import os
from pathlib import Path

from vmpool.libc import libc

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE, from linux/fs.h: begin to write, wait for nothing."""


def begin_writing(*paths: Path) -> None:
    """Begin to write what is dirty of these files; one that isn't there has nothing.

    It proves nothing and takes no error away: what the disk does not keep, the next fsync says.
    Blocking, as long as the disk's queue is full.
    """
    whole = ctypes.c_int64(0)
    for path in paths:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                libc().sync_file_range(fd, whole, whole, ctypes.c_uint(_WRITE))
            finally:
                os.close(fd)
