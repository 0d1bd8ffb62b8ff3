"""Writing a running machine's rest: all of it, or the machine runs on as before."""

import asyncio

from vmpool.driver import MachineSpec
from vmpool.drivers.home import BASE, DISK, SPEC, Home
from vmpool.drivers.host import is_no_room
from vmpool.drivers.hypervisor import Control, ControlClosed, ControlRefused, MoveFailed
from vmpool.drivers.process import read_boot_id
from vmpool.drivers.running import Running
from vmpool.drivers.writeback import begin_writing
from vmpool.errors import HostFull, MachineError
from vmpool.rest import Stamp


async def save_rest(
    running: Running, control: Control, spec: MachineSpec, *, seconds_max: float
) -> None:
    """Stop the machine, write its memory, make the rest complete; the process stays, stopped.

    :raises HostFull: no room; it runs on
    :raises MachineLost: its guest began anew; nothing of it is kept
    :raises MachineError: the memory could not be written; it runs on
    :raises ControlClosed: the process ended or hangs
    """
    rest = running.home.rest
    ran = False
    _begin_writing(running.home)
    try:
        # Before the stop, so that a crash of ours in between leaves something to mend by.
        rest.begin()
        ran = True  # until it is known: what is cut short goes on, as when it is mended
        ran = await control.pause()
        # What a guest does until its CPUs stand still was not seen before the stop.
        await running.demand_kept()
        beside_memory = await control.save(rest.partial, seconds_max=seconds_max)
        # A reset that was under way at the stop is carried out behind it.
        await running.demand_kept()
        stamp = Stamp(
            build=control.version, fingerprint=running.launch.fingerprint, boot_id=read_boot_id()
        )
        rest.commit(
            stamp,
            small=[SPEC],
            large=disks(running.home, spec),
            beside_memory=beside_memory,
        )
    except BaseException as error:
        await _roll_back(running, control, go_on=ran)
        if isinstance(error, OSError | ValueError | MoveFailed):
            raise _why_not_saved(error, seconds_max) from error
        raise


def _begin_writing(home: Home) -> None:
    """What the machine has dirty of its own files is on its way while its state is saved."""
    # Nobody waits for it: it only takes time from who fsyncs later.
    asyncio.get_running_loop().run_in_executor(None, begin_writing, home.memory, home.disk)


def disks(home: Home, spec: MachineSpec) -> list[str]:
    """What a machine's disk is made of, as a manifest names it; the last is only read."""
    return [DISK, *([BASE] if home.base.exists() else []), str(spec.image.disk)]


async def _roll_back(running: Running, control: Control, *, go_on: bool) -> None:
    rest = running.home.rest
    try:
        running.demand_going()
        await control.cancel()
        if go_on:
            await control.unpause()
        rest.abandon()
    except (ControlClosed, ControlRefused):
        # While the process lives the partial rest stays: it tells the next connection to mend.
        running.doubtful = running.alive
        if not running.doubtful:
            rest.abandon()


def _why_not_saved(error: Exception, seconds_max: float) -> MachineError:
    if isinstance(error, TimeoutError):
        return MachineError(f"writing memory took longer than {seconds_max:.0f} s; it runs on")
    if is_no_room(error):
        return HostFull("the disk became full while memory was written; the machine runs on")
    return MachineError(f"memory could not be written: {error}; the machine runs on")
