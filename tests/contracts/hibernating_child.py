"""A process of ours that is killed at one step of a hibernation, for tests.

Called as `hibernating_child.py ROOT BINARY MACHINE_ID STEP BEFORE`; STEP is one of STEPS, BEFORE is
`before` or `after` it. Ends by SIGKILL, or with status 0 when it never got there.
"""

import asyncio
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import Any

from vmpool.drivers import local, process
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.cloud_hypervisor.api import Api
from vmpool.drivers.home import Home
from vmpool.drivers.launcher import Launcher
from vmpool.drivers.local import DriverLimits, LocalDriver
from vmpool.rest import Rest

STEPS: dict[str, tuple[Any, str]] = {
    "begin": (Rest, "begin"),
    "pause": (Api, "pause"),
    "snapshot": (Api, "snapshot"),
    "commit": (Rest, "commit"),
    "flush": (Rest, "flush"),
    "kill": (process, "kill"),
    "forget the process": (Home, "write_launch"),
    "drop the cell": (Home, "drop_cell"),
    "make durable": (Rest, "make_durable"),
    "give back": (Launcher, "_leave"),
    "digest": (Rest, "digest"),
}


def die_at(step: str, *, before: bool) -> None:
    """Have this process killed right before a step begins, or right after it ended."""
    owner, name = STEPS[step]
    real = getattr(owner, name)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def plain(*args: Any, **kwargs: Any) -> Any:
        if before:
            die()
        answer = real(*args, **kwargs)
        die()
        return answer

    async def waiting(*args: Any, **kwargs: Any) -> Any:
        if before:
            die()
        answer = await real(*args, **kwargs)
        die()
        return answer

    setattr(owner, name, waiting if inspect.iscoroutinefunction(real) else plain)


async def main(root: str, binary: str, machine_id: str, step: str, when: str) -> None:
    driver = LocalDriver(Path(root), CloudHypervisor(binary=binary), DriverLimits(ahead_max=0))
    await driver.look(machine_id)
    # Adopting writes the record anew, which is no step.
    driver._process_of(local.Home(Path(root), machine_id))
    die_at(step, before=when == "before")
    await driver.hibernate(machine_id)
    await driver.settled(machine_id)
    await driver.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
