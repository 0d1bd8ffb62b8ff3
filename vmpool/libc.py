"""The C library, for system calls that Python has no name for."""

import ctypes
import functools
import os
from typing import Any


@functools.cache
def libc() -> Any:
    """Its functions take what they are given; say `argtypes` where an int would be too short."""
    return ctypes.CDLL(None, use_errno=True)


def must(answer: int, what: object) -> int:
    """Return what a function answered. :raises OSError: it failed; `what` says what was tried"""
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(what))
    return answer
