"""Giving a file's room back without changing what is read from it."""

import ctypes
import os
from pathlib import Path

from vmpool.libc import libc

_KEEP_SIZE_AND_PUNCH_HOLE = 0x01 | 0x02
"""From linux/falloc.h."""


def dig_hole(path: Path, start: int, length: int) -> None:
    """Free what these bytes take, which are zeros; where a file system can't, nothing happens."""
    # Template memory may not be written by us otherwise: only its owner's right counts here.
    try:
        fd = os.open(path, os.O_WRONLY)
    except PermissionError:
        return
    try:
        place, size = ctypes.c_int64(start), ctypes.c_int64(length)
        libc().fallocate(fd, _KEEP_SIZE_AND_PUNCH_HOLE, place, size)
    finally:
        os.close(fd)
