"""The programs that lay down the disks of machines."""

import errno
import os
from collections.abc import Mapping

from vmpool.errors import HostFull, HostUnfit
from vmpool.program import run

DISK_SECONDS_MAX = 120.0
"""For a program that lays down an empty disk: milliseconds, where the disk answers."""


async def make_by(
    *command: str, install: str, environment: Mapping[str, str] | None = None
) -> None:
    """Have a program lay down a disk.

    :param install: what brings the program, as it stands after "install"
    :raises HostFull: no room
    :raises HostUnfit: the program is missing, refuses or hangs
    """
    name = command[0]
    try:
        ended = await run(*command, seconds_max=DISK_SECONDS_MAX, environment=environment)
    except TimeoutError as error:
        why = f"{name} took longer than {DISK_SECONDS_MAX:g} s"
        raise HostUnfit(f"{why}; look at the disk of the machines") from error
    except OSError as error:
        raise HostUnfit(f"{name} can't be run ({error.strerror}); install {install}") from error
    if ended.status:
        if os.strerror(errno.ENOSPC) in ended.words:
            raise HostFull("no room for a machine's disk")
        raise HostUnfit(f"{name} made no disk: {ended.words}")
