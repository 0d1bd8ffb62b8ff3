"""How much memory the host has, and what machines really take of it."""

from dataclasses import dataclass
from pathlib import Path

KIB_PER_MIB = 1024


@dataclass(frozen=True, kw_only=True)
class HostMemory:
    """The host's memory in MiB, as its kernel counts it."""

    total_mib: int
    available_mib: int
    """That could be taken now without swapping, page cache that may go included."""


def host_memory(meminfo: Path = Path("/proc/meminfo")) -> HostMemory:
    """Read what the kernel says."""
    lines = meminfo.read_text(encoding="ascii").splitlines()
    known = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
    }
    return HostMemory(
        total_mib=known["MemTotal"] // KIB_PER_MIB,
        available_mib=known["MemAvailable"] // KIB_PER_MIB,
    )


def private_mib(pid: int) -> int | None:
    """Memory that would be free if this process ended; None when it has ended.

    Clones share their template's pages: resident size counts those once for each of them, private
    dirty memory does not.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    for line in rollup.splitlines():
        if line.startswith("Private_Dirty:"):
            return -(-int(line.split()[1]) // KIB_PER_MIB)
    return None
