"""Giving a file's room back without changing what is read from it."""

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

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
        _libc().fallocate(fd, _KEEP_SIZE_AND_PUNCH_HOLE, start, length)
    finally:
        os.close(fd)


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return libc
