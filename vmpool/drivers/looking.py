"""Looking at what there is of machines: on the disk, and among the processes."""

from vmpool.driver import Found, Sight
from vmpool.drivers.home import Home
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.launcher import Launcher
from vmpool.drivers.sight import judged
from vmpool.rest import RestState


async def look_at(home: Home, hypervisor: Hypervisor) -> Sight:
    """One machine whose directory exists. :raises HostUnfit: no hypervisor says who it is"""
    spec = home.read_spec()
    state = home.rest.state
    refusal = None
    if spec is None:
        refusal = "it was half created or half removed"
    elif state is not RestState.NONE:
        refusal = home.rest.refusal(await hypervisor.stamp(spec))
    alive = home.find_process()
    return judged(
        home.machine_id,
        rest=state,
        refusal=refusal,
        pid=alive.pid if alive is not None else None,
        durable=home.rest.durable,
    )


def strays(launcher: Launcher) -> list[Sight]:
    """Processes whose machine is not known any more; they are called by their launch."""
    why = "its process runs, its directory is gone"
    return [
        Sight(machine_id=token, found=Found.RUNNING, pid=stray.pid, broken=why)
        for token, stray in launcher.strays()
    ]
