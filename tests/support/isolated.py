"""How the processes of tests' machines are kept apart from the host: as far as it can."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.network.slots import NAMESPACES
from vmpool.program import SYSTEM

OWNERS = Path("/run/ona-tests")
"""A file for each installation of a test, called as its slots are; the test's process in it."""


def isolated(root: Path, hypervisor: Hypervisor) -> Isolation:
    """Of the machines below `root`; tells the hypervisor whether they have a network device.

    Slots that a test run left which was killed are removed.
    """
    made = Isolation.of(root, kvm=hypervisor.accelerator == "kvm")
    hypervisor.network = made.has_slots
    if made._slots is not None:
        OWNERS.mkdir(exist_ok=True)
        _remove_orphans()
        (OWNERS / made._slots._owner).write_text(str(os.getpid()))
    return made


def _remove_orphans() -> None:
    for record in OWNERS.iterdir():
        with suppress(FileNotFoundError):
            owner = record.read_text()  # empty while it is written
            if not owner or Path("/proc", owner).exists():
                continue
            for left in NAMESPACES.glob(f"ona-{record.name}-*"):
                # Somebody else may be at it.
                command = ["ip", "netns", "delete", left.name]
                subprocess.run(command, env=SYSTEM, capture_output=True, check=False)
            record.unlink()
