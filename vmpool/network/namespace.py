"""Doing something in another network namespace; what was opened there stays there."""

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vmpool.apart import apart
from vmpool.libc import libc, must

CLONE_NEWNET = 0x40000000
"""From linux/sched.h."""
TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
"""From linux/if_tun.h: frames, without a header of the driver's, with one of virtio's."""

T = TypeVar("T")


def inside(namespace: Path, act: Callable[[], T]) -> T:
    """Call `act` in a network namespace. Blocking.

    :raises OSError: there is no such namespace, or it may not be entered
    """

    def entered() -> T:
        enter(namespace)
        return act()

    return apart(entered)


def enter(namespace: Path) -> None:
    """Move this thread into a network namespace. :raises OSError: as `inside`"""
    fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        must(libc().setns(fd, CLONE_NEWNET), namespace)
    finally:
        os.close(fd)


def open_tap(name: str) -> int:
    """Be the other end of a tap device of this thread's namespace; a descriptor of frames.

    :raises OSError: there is none that may be had, or somebody else has it
    """
    fd = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except BaseException:
        os.close(fd)
        raise
    return fd
