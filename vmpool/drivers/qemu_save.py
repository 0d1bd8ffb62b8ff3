"""Writing a running machine's rest: all of it, or the machine runs on as before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vmpool.driver import MachineSpec
from vmpool.drivers import qemu_memory
from vmpool.drivers.home import DISK, SPEC
from vmpool.drivers.overlay import NO_ROOM
from vmpool.drivers.process import read_boot_id
from vmpool.drivers.qmp import Qmp, QmpClosed, QmpError
from vmpool.drivers.running import Running
from vmpool.errors import HostFull, MachineError
from vmpool.rest import Stamp


async def save_rest(running: Running, qmp: Qmp, spec: MachineSpec, *, seconds_max: float) -> None:
    """Stop the machine, write its memory, make the rest complete; the process stays, stopped.

    :raises HostFull: no room; it runs on
    :raises MachineError: the memory could not be written; it runs on
    :raises QmpClosed: the process ended or hangs
    """
    rest = running.home.rest
    ran = await qemu_memory.is_running(qmp)
    try:
        # Before the stop, so that a crash of ours in between leaves something to mend by.
        path = rest.begin()
        await qmp.execute("stop")
        with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as memory:
            await qemu_memory.save(qmp, memory, seconds_max=seconds_max)
        stamp = Stamp(
            build=qmp.version, fingerprint=running.launch.fingerprint, boot_id=read_boot_id()
        )
        rest.commit(stamp, small=[SPEC], large=[DISK, str(spec.image.disk)])
    except BaseException as error:
        await _roll_back(running, qmp, go_on=ran)
        if isinstance(error, OSError | qemu_memory.MoveFailed):
            raise _why_not_saved(error, seconds_max) from error
        raise


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor to hand to a process; files it creates are for the owner only."""
    fd = os.open(path, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


async def _roll_back(running: Running, qmp: Qmp, *, go_on: bool) -> None:
    rest = running.home.rest
    try:
        await qemu_memory.cancel(qmp)
        if go_on:
            await qmp.execute("cont")
        rest.abandon()
    except (QmpClosed, QmpError):
        # While the process lives the partial rest stays: it tells the next connection to mend.
        if not running.alive:
            rest.abandon()


def _why_not_saved(error: Exception, seconds_max: float) -> MachineError:
    if isinstance(error, TimeoutError):
        return MachineError(f"writing memory took longer than {seconds_max:.0f} s; it runs on")
    if any(os.strerror(number) in str(error) for number in NO_ROOM):
        return HostFull("the disk became full while memory was written; the machine runs on")
    return MachineError(f"memory could not be written: {error}; the machine runs on")
