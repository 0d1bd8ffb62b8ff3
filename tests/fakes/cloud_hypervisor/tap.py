"""A machine's network device: a real tap, of the kernel, because only that says it is busy."""

import fcntl
import os
import struct

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_REQUEST = struct.Struct("16sH22x")


def open_tap(name: str) -> int:
    """Open or make it; a descriptor that keeps others out. :raises OSError: it is taken"""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _REQUEST.pack(name.encode(), _TAP | _NO_PI | _VNET_HDR))
    except OSError:
        os.close(fd)
        raise
    return fd
