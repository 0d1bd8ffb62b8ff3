"""The port between `LocalDriver` and one hypervisor: how its processes are started and spoken to.

The driver knows directories, rests, locks and what a crash of ours leaves; a hypervisor knows its
command line, its control socket and how memory gets into a file and back. What the driver promises
(see `vmpool.driver`) it promises for every hypervisor.
"""

import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from vmpool.driver import MachineSpec
from vmpool.drivers.cgroup import Bounds
from vmpool.drivers.home import Home
from vmpool.rest import Stamp


class ControlClosed(Exception):
    """The control connection ended, or the hypervisor stopped answering on it."""


class ControlRefused(Exception):
    """The hypervisor said no; the text is its own sentence."""


class MoveFailed(Exception):
    """Memory could not be written or read; the machine is as it was, its CPUs stopped."""


class Control(Protocol):
    """A connection to one live hypervisor process, owned by one driver.

    Every method raises ControlClosed when the process is gone or hangs, ControlRefused when the
    hypervisor declines.
    """

    version: str
    """Exact build of the process at the other end, spelled as in `Hypervisor.stamp`."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        ...

    async def has_machine(self) -> bool:
        """Whether there is a machine in the process; none: it was never started in it."""
        ...

    async def boot(self, spec: MachineSpec) -> None:
        """Start the machine from its image, in a process that was started for that."""
        ...

    async def pause(self) -> bool:
        """Stop the virtual CPUs; idempotent. Returns whether they ran."""
        ...

    async def unpause(self) -> None:
        """Let the virtual CPUs go on; idempotent."""
        ...

    async def save(self, into: Path, *, seconds_max: float) -> Sequence[str]:
        """Write the memory of a stopped machine below `into`, an empty partial rest.

        Returns the names of the small files that it wrote beside `vmpool.rest.MEMORY`.

        :raises MoveFailed: the hypervisor's own sentence why
        :raises TimeoutError: it takes longer than allowed
        """
        ...

    async def cancel(self) -> None:
        """End a save that may be under way, finished or never begun; returns when none is."""
        ...

    async def load(self, rest: Path, *, seconds_max: float) -> None:
        """Read a complete rest, in a process started for that; the CPUs stand still afterwards.

        :raises MoveFailed, TimeoutError: as `save`
        """
        ...

    async def open_channel(self) -> socket.socket:
        """Connect the byte stream into the guest. :raises MachineBusy: taken, or nobody listens."""
        ...

    def farewell(self) -> str | None:
        """Why the process ended, if the guest had it end; in words for a person."""
        ...

    async def drained(self, *, seconds_max: float) -> None:
        """Wait until nothing that an ended process said is unread."""
        ...

    async def close(self) -> None:
        """Let go; the process runs on. Idempotent."""
        ...


class Hypervisor(Protocol):
    """One kind of hypervisor as it is installed on this host."""

    name: str
    network: bool
    """Whether its machines have a network device, which is in their seat's slot."""
    starts_ahead: bool
    """Whether its processes are all alike until they are told of a machine."""

    @property
    def accelerator(self) -> str:
        """What runs the guest's instructions."""
        ...

    async def stamp(self, spec: MachineSpec) -> Stamp:
        """Who would resume a rest here and now. :raises HostUnfit: nothing usable is installed."""
        ...

    async def make_disk(self, disk: Path, spec: MachineSpec) -> None:
        """Lay down a machine's writable disk; an older one is replaced.

        :raises HostFull, HostUnfit, MachineError: no room; a program is missing; wrong size
        """
        ...

    async def clone(self, template: Home, home: Home, spec: MachineSpec) -> Sequence[str]:
        """Lay down a clone's disk, and beside the memory in its partial rest what a resume needs.

        Returns the names of those files, as `Control.save`.

        :raises HostFull, HostUnfit: as `make_disk`
        """
        ...

    async def command(self, home: Home, spec: MachineSpec, *, loading: bool) -> list[str]:
        """Build the command line; whoever starts ahead asks nothing of the machine.

        :raises HostUnfit: nothing usable is installed
        """
        ...

    def output(self, home: Home) -> Path:
        """Where its standard output goes: appended to, bounded by the driver."""
        ...

    def inherited(self, home: Home, image: Path) -> AbstractContextManager[Sequence[int]]:
        """Open what the process is to find as descriptors 3, 4, …; `image`: its directory.

        4 and 5 are the directories of its cell and of its image. The device of its seat's slot
        comes last, where it is to inherit that.
        """
        ...

    def belongings(self, home: Home) -> Sequence[Path]:
        """Logs beside console and log of one process, which move with it and are bounded too."""
        ...

    @property
    def inherits_tap(self) -> bool:
        """Whether it is given its network device; else it opens the one of its namespace."""
        ...

    def lost(self, home: Home) -> str | None:
        """Why a machine is lost though its process lives, if it is; quick, asked on a clock."""
        ...

    def save_mib(self, home: Home, spec: MachineSpec, resident_mib: int) -> int:
        """How much a save writes at most of a machine whose process holds so much memory."""
        ...

    def growth_mib(self, home: Home) -> int:
        """How much of the disk a running machine's memory may still take, without asking."""
        ...

    def bounds(self, spec: MachineSpec) -> Bounds:
        """What the process of such a machine may take of the host."""
        ...

    async def connect(self, home: Home, *, seconds_max: float) -> Control:
        """Connect to the control socket of the machine's process. :raises ControlClosed:."""
        ...
