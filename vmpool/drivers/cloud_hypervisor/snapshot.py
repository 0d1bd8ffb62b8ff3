"""A snapshot's files: what is kept of one in a rest, and how a rest is laid out for a restore.

A machine's memory lies in one of three ways, and no restore but the last reads it beforehand:

| while it runs | its memory is                          | a snapshot of it writes         |
|---------------|----------------------------------------|---------------------------------|
| own file      | a file in its cell, mapped shared      | nothing: the file is the memory |
| mapped        | the rest's file, mapped copy-on-write  | all of it, densely              |
| copied        | the process's own, read at the restore | all of it, densely              |

A machine that was booted has a file of its own. A resumed one gets one when its rest is nobody
else's and the file system makes a file of another's extents (XFS, btrfs); then the rest stays
whole until it is used up, though the guest writes at once. A clone's first rest is its template's,
so that it maps what the others map. `copied` is for a snapshot whose state is shaped in a way we
don't know.

The process writes a snapshot into a directory that is its own meanwhile. Then the directory becomes
ours, so that nothing in it changes any more, and plain files are taken out of it. What the machine
is, is not read from there, but said anew at each restore.
"""

import json
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmpool.driver import MachineSpec
from vmpool.drivers.cloud_hypervisor import config
from vmpool.drivers.cloud_hypervisor.disk import make_sparse, reflink
from vmpool.drivers.home import REACH, READ_ONLY_MODE, SAVING, Home, remove_tree
from vmpool.rest import MEMORY

MEMORY_RANGES = "memory-ranges"
"""What a snapshot calls its memory, where it writes one."""
LOADING = "loading"
"""Directory in the cell that a restore reads."""
JSON_BYTES_MAX = 16 * 1024 * 1024
SECTOR_BYTES = 512
"""Unit of `st_blocks`."""


def make_memory(home: Home, memory_mib: int) -> None:
    """Lay down the file that a booted machine's memory lies in; it takes no room yet."""
    make_sparse(home.memory, memory_mib * config.MIB)
    home.give(home.memory)


def growth_mib(home: Home) -> int:
    """How much a running machine's memory may still take of the disk; 0: it is not in a file."""
    try:
        found, spec = home.memory.lstat(), home.read_spec()
    except (OSError, ValueError):
        return 0
    size = spec.memory_mib * config.MIB if spec else 0
    return max(0, size - found.st_blocks * SECTOR_BYTES) // config.MIB


def url(name: str) -> Path:
    """How the process names a directory in its cell."""
    return Path(REACH, name)


def prepare(home: Home) -> None:
    """Let the process write a snapshot."""
    end(home)
    home.give(home.cell / SAVING)


def end(home: Home) -> None:
    """Let it write none any more, and remove what it wrote."""
    saving = home.cell / SAVING
    home.take_back(saving)
    # The directory stays: what its process may do there hangs on it.
    for left in saving.iterdir():
        if left.is_dir() and not left.is_symlink():
            remove_tree(left)
        else:
            left.unlink()


def keep(home: Home, partial: Path, spec: MachineSpec) -> Sequence[str]:
    """Complete a snapshot that was just written, as a partial rest; the small files' names.

    :raises ValueError: its memory is not whole, or something else lies where it should be
    :raises json.JSONDecodeError: one of its files was cut short
    """
    saving, memory = home.cell / SAVING, partial / MEMORY
    home.take_back(saving)
    for name in (config.CONFIG, config.STATE):
        _take(saving / name, partial / name, home)
    # Not for what it says: a full disk cuts it short without a word.
    read_json(partial / config.CONFIG)
    size = spec.memory_mib * config.MIB
    try:
        written = config.written_bytes(read_json(partial / config.STATE))
    except json.JSONDecodeError:
        raise
    except (KeyError, TypeError, ValueError):
        # Not as we know it: kept under both names, to be read as its writer would.
        written = size
        _take(saving / MEMORY_RANGES, partial / MEMORY_RANGES, home)
        os.link(partial / MEMORY_RANGES, memory)
    else:
        if written:
            _take(saving / MEMORY_RANGES, memory, home)
        else:
            os.link(home.memory, memory)
            home.take_back(memory)
    if written not in (0, size) or memory.lstat().st_size != size:
        raise ValueError("the snapshot's memory is not whole")
    # Read by the next process, whoever that runs as.
    memory.chmod(READ_ONLY_MODE)
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


def lay_out(rest: Path, home: Home, machine: config.Json) -> str:
    """Make the directory that a restore reads, its name; the rest stays as it is. Blocking, short.

    :param machine: as `config.config` spells it
    :raises ValueError, KeyError: the rest is not shaped as one of ours
    :raises OSError: no room, among others
    """
    into = home.cell / LOADING
    remove_tree(into)
    into.mkdir(mode=0o755)
    state = read_json(rest / config.STATE)
    if (rest / MEMORY_RANGES).exists():
        os.link(rest / MEMORY_RANGES, into / MEMORY_RANGES)
        machine = config.placed(machine, memory=None, shared=False)
    elif _has_own(rest / MEMORY, home):
        machine = config.placed(machine, memory=MEMORY, shared=True)
        state = config.nothing_to_copy(state)
    else:
        os.link(rest / MEMORY, home.cell / config.MAPPED)
        machine = config.placed(machine, memory=config.MAPPED, shared=False)
        state = config.nothing_to_copy(state)
    for name, words in ((config.CONFIG, machine), (config.STATE, state)):
        (into / name).write_text(json.dumps(words))
        (into / name).chmod(READ_ONLY_MODE)
    return LOADING


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of a snapshot, bounded. :raises ValueError: it is none, or too long"""
    if path.lstat().st_size > JSON_BYTES_MAX:
        raise ValueError(f"{path.name} is longer than JSON_BYTES_MAX")
    try:
        found = json.loads(path.read_text())
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is not an object")
    return found


def _has_own(memory: Path, home: Home) -> bool:
    """Give the machine a memory file of its own, if nobody shares the rest's and that is cheap."""
    if memory.stat().st_nlink != 1 or not reflink(memory, home.memory):
        return False
    home.give(home.memory)
    return True


def _take(source: Path, target: Path, home: Home) -> None:
    """Move what a process wrote out of its cell. :raises ValueError: it is no file of its own"""
    found = source.lstat()
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if not plain or found.st_uid != home.process_uid:
        raise ValueError(f"{source.name} is no file that it wrote")
    os.rename(source, target)
    home.take_back(target)
