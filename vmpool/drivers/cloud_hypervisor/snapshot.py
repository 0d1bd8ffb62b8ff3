"""A snapshot's files: what is kept of one in a rest, and how a rest is laid out for a restore.

A machine's memory lies in one of three ways, and no restore but the last reads it beforehand:

| while it runs | its memory is                          | a snapshot of it writes         |
|---------------|----------------------------------------|---------------------------------|
| own file      | `<machine>/memory`, mapped shared      | nothing: the file is the memory |
| mapped        | the rest's file, mapped copy-on-write  | all of it, densely              |
| copied        | the process's own, read at the restore | all of it, densely              |

A machine that was booted has a file of its own. A resumed one gets one when its rest is nobody
else's and the file system makes a file of another's extents (XFS, btrfs); then the rest stays
whole until it is used up, though the guest writes at once. A clone's first rest is its template's,
so that it maps what the others map. `copied` is for a snapshot whose state is shaped in a way we
don't know.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmpool.drivers.cloud_hypervisor import config
from vmpool.drivers.cloud_hypervisor.disk import make_sparse, reflink
from vmpool.drivers.home import Home
from vmpool.rest import MEMORY

MEMORY_RANGES = "memory-ranges"
"""What a snapshot calls its memory, where it writes one."""
LOADING = "loading"
"""Directory below the machine's that a restore reads."""
JSON_BYTES_MAX = 16 * 1024 * 1024
SECTOR_BYTES = 512
"""Unit of `st_blocks`."""


def make_memory(home: Home, memory_mib: int) -> None:
    """Lay down the file that a booted machine's memory lies in; it takes no room yet."""
    make_sparse(home.memory, memory_mib * config.MIB)


def growth_mib(home: Home) -> int:
    """How much a running machine's memory may still take of the disk; 0: it is not in a file."""
    try:
        found = home.memory.stat()
    except FileNotFoundError:
        return 0
    return max(0, found.st_size - found.st_blocks * SECTOR_BYTES) // config.MIB


def keep(partial: Path, home: Home) -> Sequence[str]:
    """Complete a snapshot that was just written; returns the small files' names.

    :raises ValueError: its memory is not whole
    :raises json.JSONDecodeError: one of its files was cut short
    """
    state = read_json(partial / config.STATE)
    size = read_json(partial / config.CONFIG)["memory"]["zones"][0]["size"]
    ranges = partial / MEMORY_RANGES
    try:
        written = config.written_bytes(state)
    except (KeyError, TypeError, ValueError):
        # Not as we know it: kept under both names, to be read as its writer would.
        written = size
        os.link(ranges, partial / MEMORY)
    else:
        if written:
            os.rename(ranges, partial / MEMORY)
        else:
            os.link(home.memory, partial / MEMORY)
    if written not in (0, size) or (partial / MEMORY).stat().st_size != size:
        raise ValueError("the snapshot's memory is not whole")
    return config.CONFIG, config.STATE


def copy(template: Path, partial: Path) -> Sequence[str]:
    """Copy what a clone's rest needs beside its memory; returns the small files' names.

    :param template: the template's complete rest
    :param partial: the clone's partial rest
    """
    for name in (config.CONFIG, config.STATE):
        shutil.copyfile(template / name, partial / name)
    if (template / MEMORY_RANGES).exists():
        os.link(template / MEMORY_RANGES, partial / MEMORY_RANGES)
    return config.CONFIG, config.STATE


def lay_out(rest: Path, home: Home) -> Path:
    """Make the directory that a restore reads; the rest stays as it is. Blocking, short.

    :raises ValueError, KeyError: the rest is not shaped as one of ours
    :raises OSError: no room, among others
    """
    into = home.path / LOADING
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(mode=0o700)
    home.memory.unlink(missing_ok=True)
    found, state = read_json(rest / config.CONFIG), read_json(rest / config.STATE)
    if (rest / MEMORY_RANGES).exists():
        os.link(rest / MEMORY_RANGES, into / MEMORY_RANGES)
        found = config.placed(found, home=home, memory=None, shared=False)
    else:
        memory = rest / MEMORY
        own = memory.stat().st_nlink == 1 and reflink(memory, home.memory)
        file = home.memory if own else memory
        found = config.placed(found, home=home, memory=file, shared=own)
        state = config.nothing_to_copy(state)
    (into / config.CONFIG).write_text(json.dumps(found))
    (into / config.STATE).write_text(json.dumps(state))
    return into


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of a snapshot, bounded. :raises ValueError: it is none, or too long"""
    if path.stat().st_size > JSON_BYTES_MAX:
        raise ValueError(f"{path.name} is longer than JSON_BYTES_MAX")
    found = json.loads(path.read_text())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found
