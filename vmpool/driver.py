"""The driver port: the code that speaks to one hypervisor, as the rest of the product sees it.

A driver keeps one directory per machine below its root and nothing else: what `find` reports is
read from the disk and from the process table, so that a new process of ours can take over what an
earlier one left. It knows no session, no lease and no database. The owner serialises calls for
one machine; calls for different machines may run at once.

    absent ──create──▶ stopped ──boot──▶ running ──hibernate──▶ resting ──resume──▶ running
                          │                │  ▲                    │
                          │              pause unpause             │
                          └──────────── destroy ◀──────────────────┘

    running ──freeze──▶ a template, the machine is absent;  template ──clone──▶ resting

A template is a machine's memory and disk at rest, never written again. Clones share its memory
copy-on-write; it may be dropped while they run.
"""

import enum
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Found(enum.StrEnum):
    """What a driver sees of a machine when it looks."""

    ABSENT = "absent"
    """No directory: never created, or destroyed."""
    STOPPED = "stopped"
    """A disk, no process and no rest that could be resumed: its memory is gone."""
    RUNNING = "running"
    """The hypervisor's process is alive and answers."""
    RESTING = "resting"
    """No process; memory and disk lie complete on disk."""
    UNSEEN = "unseen"
    """It can't be looked at: this host lacks something now. That says nothing against it."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a machine boots from: read-only files that no machine ever writes."""

    kernel: Path
    initrd: Path
    disk: Path
    """Raw ext4 file system of the guest, the read-only base of every machine's disk."""
    digest: str
    """Hash of the recipe and the package manifest; names the directory the image lies in."""
    agents: tuple[str, ...] = ()
    """Names of the agents that it holds."""


@dataclass(frozen=True, kw_only=True)
class MachineSpec:
    """How big a machine is and what it boots from."""

    image: Image
    vcpus: int
    memory_mib: int
    disk_gib: int


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One machine as found on this host."""

    machine_id: str
    found: Found
    pid: int | None = None
    durable: bool = False
    """Resting only: the files were fsynced, so the rest survives a power cut."""
    broken: str | None = None
    """Why a rest or a process that is there can't be used, or seen, in one sentence."""


@dataclass(frozen=True, kw_only=True)
class TemplateSight:
    """One template as found on this host."""

    template_id: str
    broken: str | None = None
    """Why no machine can be made of it, in one sentence."""


class Driver(Protocol):
    """Creates, runs, rests and removes the machines of one host."""

    name: str

    @property
    def accelerator(self) -> str:
        """What runs the guest's instructions, as the hypervisor calls it: `kvm`, `tcg`."""
        ...

    async def create(self, machine_id: str, spec: MachineSpec) -> None:
        """Lay down the machine's directory and disk; idempotent.

        :raises HostFull: no room; nothing is left behind
        """
        ...

    async def boot(self, machine_id: str) -> None:
        """Start the hypervisor; returns when it runs, long before the guest answers.

        Running already: nothing happens.

        :raises MachineLost: the process ended at once; the text carries its last words
        :raises HostFull: its memory would not fit on the disk
        :raises MachineError: it rests; booting would throw its memory away
        :raises HostUnfit: the hypervisor is missing
        """
        ...

    async def open_channel(self, machine_id: str) -> socket.socket:
        """Connect the one byte stream into the machine; non-blocking socket, the caller closes it.

        The stream is raw: bytes of an earlier connection may still come first.

        :raises MachineLost: no process
        :raises MachineBusy: the stream is taken, or the guest is not up yet or paused: ask again
        """
        ...

    async def pause(self, machine_id: str) -> None:
        """Stop the virtual CPUs; idempotent.

        :raises MachineLost: no process
        :raises MachineHung: its hypervisor does not answer
        """
        ...

    async def unpause(self, machine_id: str) -> None:
        """Let the virtual CPUs go on; idempotent. :raises MachineLost, MachineHung: as `pause`"""
        ...

    async def hibernate(self, machine_id: str) -> None:
        """Write memory beside the disk, commit by rename, end the process.

        Returns when the rest is `complete`; it becomes `durable` in the background. Idempotent.
        The caller has ended every connection into the guest before.

        :raises HostFull: no room; the machine runs on as before and no half rest is left
        :raises MachineHung: its hypervisor does not answer; it is as it was, or goes on as before
            when that does
        :raises MachineLost: no process and no rest
        """
        ...

    async def resume(self, machine_id: str) -> None:
        """Start from the rest; the rest is used up in that moment, whatever happens after.

        Running already: nothing happens.

        :raises RestRefused: missing, short, altered or of another build; nothing was started
        :raises HostFull, HostUnfit: no room even for a few files; the hypervisor or a right is
            missing. Nothing was started, the rest is as it was
        :raises MachineLost: the process ended while loading, or was ended as it did not answer
        """
        ...

    async def destroy(self, machine_id: str) -> None:
        """End the process and remove every file; absent already is success.

        :raises TimeoutError: the process was killed and does not end
        :raises OSError: a file can't be removed
        """
        ...

    async def freeze(self, machine_id: str, template_id: str) -> None:
        """Make a running or resting machine a template; the machine is absent afterwards.

        A template of this name is there already: nothing happens. It is durable on return. The
        caller has ended every connection into the guest before.

        :raises HostFull, MachineLost: as `hibernate`
        """
        ...

    async def clone(self, template_id: str, machine_id: str) -> None:
        """Lay down a machine that rests as the template does; idempotent. Quick, whatever its size.

        :raises RestRefused: there is no such template, or it can't be used here; build it again
        :raises HostFull: no room; nothing is left behind
        """
        ...

    async def drop(self, template_id: str) -> None:
        """Remove a template; its clones go on. Absent already is success."""
        ...

    async def templates(self) -> Sequence[TemplateSight]:
        """Every template on this host, those included that can't be used.

        One that can't be looked at now is not said to be broken.
        """
        ...

    async def bound_to(self, spec: MachineSpec) -> str:
        """What a rest made here can only be resumed by: hypervisor, build, processor, kernel.

        :raises HostUnfit: the hypervisor is missing
        """
        ...

    def free_disk_mib(self) -> int:
        """Room on the disk where machines lie; blocking, quick."""
        ...

    async def find(self) -> Sequence[Sight]:
        """Everything on this host, leftovers included; never raises for one broken machine.

        Finishes what an earlier process of ours left half done, as far as nobody has to decide.
        """
        ...

    async def look(self, machine_id: str) -> Sight:
        """One machine as it is now. :raises HostUnfit, OSError: it can't be looked at"""
        ...

    async def scrub_next(self) -> str | None:
        """Read the rest that was read longest ago and compare it with its digests; for a clock.

        Those of templates are among them.
        What was altered is refused from then on; returns what is wrong, if anything.
        """
        ...

    async def wait_ended(self, machine_id: str) -> str:
        """Return, with a sentence why, when the running process ends (crash, guest panic, kill)."""
        ...

    async def close(self) -> None:
        """Let go of every machine without touching it; running ones run on."""
        ...
