"""What a hypervisor process may take of the host: one cgroup (version 2) for each.

    <parent>/<launch>/   memory.max, pids.max, cpu.max, cpu.weight, io.weight

The parent is below the cgroup that systemd delegated to us, else, as root, at the top. Its name is
derived from the directory of the machines, so that two installations never meet. Where neither can
be, machines run unbounded, and `why_not` says so.
"""

import contextlib
import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

LEAF = "service"
"""Where we are ourselves, in a cgroup that was delegated to us."""
MOUNT = Path("/sys/fs/cgroup")
NEEDED = frozenset({"memory", "pids", "cpu"})
WANTED = NEEDED | {"io"}
CPU_PERIOD_US = 100_000
PIDS_MAX = 256
"""Threads of one hypervisor; Cloud Hypervisor has one for each CPU, disk, queue and itself."""
WEIGHT = 50
"""Of CPU and disk, where 100 is what others have: the host stays usable."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What one hypervisor process may take."""

    memory_mib: int
    """The guest's and the process's own."""
    cpus: int
    """Virtual ones; one more is for the process itself."""


class Cgroups:
    """The cgroups of the machines below one directory."""

    def __init__(self, parent: Path | None, why_not: str = "") -> None:
        """`parent`: made when it is first needed; None: there are none, for the reason given."""
        self._parent = parent
        self.why_not = why_not

    @classmethod
    def of(cls, root: Path, mount: Path = MOUNT) -> "Cgroups":
        """Those of the machines in `root`, where this process may make some."""
        above, why_not = _above(mount)
        if above is None:
            return cls(None, why_not)
        return cls(above / f"ona-{hashlib.sha256(os.fsencode(root)).hexdigest()[:12]}")

    def entry(self, token: str, bounds: Bounds) -> int | None:
        """Make a launch's cgroup; a descriptor by which a process enters it. None: there is none.

        :raises OSError: the kernel refuses
        """
        if self._parent is None:
            return None
        place = self._parent / token
        place.mkdir(parents=True, exist_ok=True)
        _make_room(self._parent.parent)
        _enable(self._parent.parent)
        _enable(self._parent)
        self.bound(token, bounds)
        return os.open(place / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def bound(self, token: str, bounds: Bounds) -> None:
        """Set what a launch's process may take from now on."""
        if self._parent is None:
            return
        for name, value in _values(bounds).items():
            # Which of them there are depends on the controllers.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                (self._parent / token / name).write_text(value)

    def leave(self, token: str) -> None:
        """Remove a launch's cgroup, with what still runs in it; none there is success."""
        if self._parent is None:
            return
        place = self._parent / token
        # What was killed may not have ended yet, or can't be: the next sweep tries again.
        with contextlib.suppress(OSError):
            (place / "cgroup.kill").write_text("1")
        with contextlib.suppress(OSError):
            place.rmdir()

    def sweep(self, tokens: Collection[str]) -> list[str]:
        """Remove the cgroups of launches that are none of these; says which there were."""
        if self._parent is None:
            return []
        with contextlib.suppress(FileNotFoundError):
            found = [e.name for e in os.scandir(self._parent) if e.is_dir()]
            strays = [name for name in found if name not in tokens]
            for name in strays:
                self.leave(name)
            return strays
        return []

    def close(self) -> None:
        """Remove the parent if nothing is in it."""
        if self._parent is not None:
            with contextlib.suppress(OSError):
                self._parent.rmdir()


def entering(fd: int) -> list[str]:
    """What stands before a command that shall run in a cgroup whose entry it inherits as `fd`.

    The command's process is the one that entered: it has never run outside.

    :param fd: one digit, as a shell wants it
    """
    return ["/bin/sh", "-c", f'echo $$ >&{fd} && exec "$@" {fd}>&-', "sh"]


def _values(bounds: Bounds) -> dict[str, str]:
    mib = 1 << 20
    return {
        "memory.max": str(bounds.memory_mib * mib),
        # One process, and nothing is gained by leaving half of it.
        "memory.oom.group": "1",
        "pids.max": str(PIDS_MAX),
        "cpu.max": f"{(bounds.cpus + 1) * CPU_PERIOD_US} {CPU_PERIOD_US}",
        "cpu.weight": str(WEIGHT),
        "io.weight": f"default {WEIGHT}",
    }


def _above(mount: Path) -> tuple[Path | None, str]:
    """Where a parent may be made; else None and why not."""
    try:
        offered = set((mount / "cgroup.controllers").read_text().split())
    except OSError:
        return None, f"there is no cgroup of version 2 at {mount}"
    if missing := NEEDED - offered:
        return None, f"the kernel offers no control of {', '.join(sorted(missing))} at {mount}"
    own = _own(mount)
    for each in (own, own.parent if own and own.name == LEAF else None):
        if each is not None and _is_delegated(each):
            return each, ""
    if os.geteuid() == 0 and os.access(mount / "cgroup.subtree_control", os.W_OK):
        return mount, ""
    return None, "no cgroup was delegated to this process (systemd: Delegate=yes)"


def _own(mount: Path) -> Path | None:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return mount / line.removeprefix("0::").strip().lstrip("/")
    return None


def _is_delegated(own: Path) -> bool:
    for attribute in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(own, attribute) == b"1":
                return os.access(own / "cgroup.subtree_control", os.W_OK)
    return False


def _make_room(own: Path) -> None:
    """Move what is in a cgroup into a leaf: only an empty one, or the top, bounds those below."""
    if not (own / "cgroup.type").exists():
        return
    leaf = own / LEAF
    for pid in (own / "cgroup.procs").read_text().split():
        leaf.mkdir(exist_ok=True)
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(pid)


def _enable(place: Path) -> None:
    """Let the cgroups below bound what is wanted and offered."""
    offered = set((place / "cgroup.controllers").read_text().split())
    control = place / "cgroup.subtree_control"
    for name in sorted((WANTED & offered) - set(control.read_text().split())):
        control.write_text(f"+{name}")
