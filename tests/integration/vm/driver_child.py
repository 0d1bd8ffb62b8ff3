"""A process of ours for tests to kill: does one thing to one machine, again and again.

Called as `driver_child.py ROOT MACHINE_ID OPERATION`; prints `begun` right before it starts.
"""

import asyncio
import sys
from pathlib import Path

from vmpool.drivers.local import DriverLimits, LocalDriver
from vmpool.drivers.qemu import Qemu


async def main(root: str, machine_id: str, operation: str) -> None:
    driver = LocalDriver(Path(root), Qemu(accelerator="tcg"), DriverLimits(disk_reserve_mib=1))
    await driver.look(machine_id)
    print("begun", flush=True)
    if operation == "hibernate":
        await driver.hibernate(machine_id)
    elif operation == "resume":
        await driver.resume(machine_id)
    elif operation == "boot":
        await driver.boot(machine_id)
    elif operation == "destroy":
        await driver.destroy(machine_id)
    print("done", flush=True)
    await driver.settled(machine_id)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
