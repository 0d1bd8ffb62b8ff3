"""Processes that belong together, known by something in their environment."""

from collections.abc import Mapping
from pathlib import Path


def family(mark: Mapping[str, str]) -> list[str]:
    """The ids of the running processes that have `mark` in their environment."""
    ((name, value),) = mark.items()
    wanted = f"{name}={value}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return [pid for pid in found if is_running(pid)]


def is_running(pid: str) -> bool:
    """Whether there is such a process, and not only its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
