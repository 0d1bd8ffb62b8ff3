"""Going on from a machine's rest: its memory loaded, the rest used up, its CPUs running."""

import asyncio

from vmpool.drivers.host import is_no_room
from vmpool.drivers.hypervisor import MoveFailed
from vmpool.drivers.running import Running
from vmpool.drivers.settler import Settler
from vmpool.errors import HostFull, MachineError, MachineHung, MachineLost, RestRefused


async def load_rest(running: Running, settler: Settler, *, seconds_max: float) -> None:
    """Have a process that was started for that read the rest; its CPUs stand still afterwards.

    :param settler: says what is wrong with a rest that was not loaded
    :raises RestRefused: its memory was altered
    :raises HostFull: no room to lay it out
    :raises MachineLost: the process ended or hangs; nothing is said against the rest
    """
    home = running.home
    try:
        async with running.speaking() as control:
            if control.version != (written := home.rest.build):
                # An upgrade came after the rest was looked at, before this process began.
                raise MoveFailed(f"it was written by {written}, and this is {control.version}")
            await control.load(home.rest.complete, seconds_max=seconds_max)
    except MachineHung as error:
        # Nothing is said against its rest, which is read again from a process that goes.
        raise MachineLost(f"its memory was not loaded: {error}") from error
    except (MachineError, MoveFailed, TimeoutError) as error:
        if is_no_room(error):
            raise HostFull("no room to lay out a machine's rest") from error
        await settler.wait(home.machine_id)
        if why := await settler.scrub(home):
            raise RestRefused(why) from error
        raise MachineLost(f"its memory was not loaded: {error}") from error


async def go_on_from_rest(running: Running) -> None:
    """Use the rest up, durably, and only then let the CPUs go on.

    Cancelled, its memory is in the process alone: that is doubtful, as when we are killed then.
    """
    try:
        async with running.speaking() as control:
            using = asyncio.ensure_future(asyncio.to_thread(running.home.rest.use_up))
            try:
                await asyncio.shield(using)
            finally:
                # Cancelled or not: what comes after this must find it used up, or not.
                await asyncio.wait([using])
            await control.unpause()
    except asyncio.CancelledError:
        running.doubtful = True
        raise
