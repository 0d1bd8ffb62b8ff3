"""How the process of a machine is kept apart from its host: its seat, and what it may open.

    we ──▶ a thread of its own: into the slot's namespace, no new privileges, Landlock
             └─▶ into its cgroup ──▶ another uid, no capabilities ──▶ the hypervisor

As root every process has a **seat**: a network slot, so that whoever breaks out of a guest is in a
namespace without any way on, and a uid that no other process has, so that it can't touch another
machine's. Without root there is neither: the machine has no network device, and everything goes
over its channel. Landlock is there in both, where the kernel has it: the process opens its cell,
its image and the system's libraries, and no TCP connection. What Landlock does not know of, unix
sockets by path among it, is refused by the uid alone.
"""

import shutil
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vmpool.drivers import landlock, process
from vmpool.errors import HostUnfit
from vmpool.network import slot
from vmpool.network.namespace import TUN, enter, inside, open_tap
from vmpool.network.slots import NoSlot, Slots, missing, namespace

READY_SLOTS = 2
READ_WRITE = 0o6
"""Of the mode of a file, for one of its three kinds of people."""
KVM = Path("/dev/kvm")
LIBRARIES = tuple(
    Path(name) for name in ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache")
)
KERNEL = (Path("/proc"), Path("/sys"))
"""What the kernel says of itself; whose files there are readable is decided by the uid."""
DEVICES = tuple(
    Path("/dev", name) for name in ("null", "zero", "urandom", "random", "kvm", "net/tun")
)


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Where one process runs."""

    slot: str | None = None
    """Its network slot's name; None: it has our network, and its machine no device."""
    uid: int | None = None
    """None: it runs as we do."""
    gid: int | None = None


class Isolation:
    """The seats of one installation's processes. One process of ours uses it, on one loop."""

    def __init__(
        self,
        slots: Slots | None = None,
        *,
        gid: int | None = None,
        has_landlock: bool = False,
        why_not: str = "",
    ) -> None:
        """Without `slots` all have the same seat, for the reason given.

        :param gid: the group of its processes; None: each has one of its own
        :param has_landlock: what its processes may open is restricted
        """
        self._slots = slots
        self._gid = gid
        self.has_landlock = has_landlock
        self.why_not = why_not

    @classmethod
    def of(cls, root: Path, *, uid_first: int | None = None, kvm: bool) -> "Isolation":
        """What this host can do for the machines below `root`; `kvm`: they run under it.

        :param uid_first: of as many as there are slots; None: some that are nobody's
        """
        gid = _group_of(KVM) if kvm else None
        has_landlock = landlock.version() > 0
        if why := missing() or (_not_usable(gid) if kvm else None):
            return cls(has_landlock=has_landlock, why_not=why)
        first = slot.uid_first(root) if uid_first is None else uid_first
        slots = Slots(root, count_max=slot.SLOTS_MAX, uid_first=first)
        return cls(slots, gid=gid, has_landlock=has_landlock)

    @property
    def has_slots(self) -> bool:
        """Whether machines have a network device."""
        return self._slots is not None

    async def open(self, slots: dict[str, str]) -> None:
        """Take over what an earlier process of ours left. :param slots: in use, by launch"""
        if self._slots is not None:
            await self._slots.open(slots)

    async def prepare(self) -> None:
        """Have slots ready for the next ones."""
        if self._slots is not None:
            await self._slots.prepare(READY_SLOTS)

    async def seat(self, token: str) -> Seat:
        """A seat for a launch. :raises NoSlot: all are taken, or none could be made"""
        if self._slots is None:
            return Seat()
        name = await self._whole_slot(token)
        uid = self._slots.uid(name)
        return Seat(slot=name, uid=uid, gid=uid if self._gid is None else self._gid)

    async def _whole_slot(self, token: str) -> str:
        """Take one that has its device: a hypervisor would make one of its own, without a word."""
        assert self._slots is not None
        for _ in range(READY_SLOTS + 1):
            name = await self._slots.take(token)
            try:
                inside(namespace(name), lambda: socket.if_nametoindex(slot.TAP))
                return name
            except OSError:
                # Somebody else removed it, or its device. The next one may be whole.
                await self._slots.release(token)
        raise NoSlot("every network slot loses its device; see who removes tap devices here")

    def start(
        self,
        command: Sequence[str],
        seat: Seat,
        *,
        before: Sequence[str] = (),
        rights: Mapping[Path, int],
        mark: str,
        output: Path,
        errors: Path,
        fds: Sequence[int],
    ) -> process.Process:
        """Start a process in its seat. Blocking, some milliseconds.

        :param before: a command that enters its cgroup and becomes the one after it
        :param rights: what Landlock allows beside libraries, devices and what the kernel says
        :raises HostUnfit: a program is missing or may not be run
        """
        program = shutil.which(command[0])
        if program is None:
            raise HostUnfit(f"{command[0]} can't be run; install it")
        run, read = landlock.RUN, landlock.READ
        allowed = {
            **dict.fromkeys([*LIBRARIES, Path(program).resolve()], run),
            **dict.fromkeys(KERNEL, read),
            **dict.fromkeys(DEVICES, landlock.WRITE),
            **rights,
        }

        def confine() -> None:
            if seat.slot is not None:
                enter(namespace(seat.slot))
            if self.has_landlock:
                landlock.forbid_new_privileges()
                landlock.restrict(allowed)

        return process.start(
            [*before, *_as(seat), program, *command[1:]],
            mark=mark,
            output=output,
            errors=errors,
            fds=fds,
            confine=confine,
        )

    async def leave(self, token: str) -> None:
        """A launch's process has ended; its seat goes. None there is success."""
        if self._slots is not None:
            await self._slots.release(token)

    async def sweep(self, tokens: Collection[str]) -> None:
        """Take back the seats of launches that are none of these."""
        if self._slots is not None:
            for token in set(self._slots.taken()) - set(tokens):
                await self._slots.release(token)
            await self._slots.sweep()

    async def close(self) -> None:
        """Remove what no process uses."""
        if self._slots is not None:
            await self._slots.close()


def tap_of(seat: Seat) -> int | None:
    """Open the device of a seat's slot, for a hypervisor that inherits it."""
    if seat.slot is None:
        return None
    return inside(namespace(seat.slot), lambda: open_tap(slot.TAP))


def _as(seat: Seat) -> list[str]:
    """What stands before a command that shall run as somebody else."""
    if seat.uid is None:
        return []
    who = [f"--reuid={seat.uid}", f"--regid={seat.gid}", "--clear-groups"]
    return ["setpriv", *who, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"]


def _group_of(device: Path) -> int | None:
    """A group, not root's, whose members may use a device; None: there is none."""
    with suppress(OSError):
        found = device.stat()
        if found.st_gid and (found.st_mode >> 3) & READ_WRITE == READ_WRITE:
            return found.st_gid
    return None


def _not_usable(gid: int | None) -> str | None:
    """Why a process that is not root can't have what it needs under KVM, or None."""
    if gid is None and not _is_open_to_all(KVM):
        return f"{KVM} may only be opened by root; give it to the group kvm, with mode 0660"
    if not _is_open_to_all(TUN):
        return f"{TUN} may only be opened by root; give it mode 0666"
    return None


def _is_open_to_all(device: Path) -> bool:
    with suppress(OSError):
        return device.stat().st_mode & READ_WRITE == READ_WRITE
    return False
