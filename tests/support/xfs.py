"""A file system that makes files of other files' extents, for one test; needs root."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vmpool.drivers.cloud_hypervisor.disk import reflink

SIZE_MIB = 2048
"""Apparent; what lies on it is sparse."""
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_OURS = re.compile(r"^\S+ (\S*/ona-xfs-(\d+)) xfs ", re.MULTILINE)


@contextmanager
def xfs(root: Path) -> Iterator[Path]:
    """Mount one below `root`, unless it lies on such a one; what killed runs left goes first."""
    _unmount_orphans()
    (root / "probe").touch()
    if reflink(root / "probe", root / "probed"):
        (root / "here").mkdir()
        yield root / "here"
        return
    image, place = root / "xfs.img", root / f"ona-xfs-{os.getpid()}"
    with image.open("wb") as file:
        file.truncate(SIZE_MIB << 20)
    place.mkdir()
    try:
        _run("mkfs.xfs", "-q", "-m", "reflink=1", str(image))
        _run("mount", "-t", "xfs", "-o", "loop,noatime", str(image), str(place))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"!!! NOT TESTED: no XFS can be mounted here ({error})")
    try:
        yield place
    finally:
        # Lazily: a process that is just ending may still hold a file.
        _run("umount", "--lazy", str(place))
        image.unlink()


def _unmount_orphans() -> None:
    for place, pid in _OURS.findall(Path("/proc/mounts").read_text()):
        if not Path(f"/proc/{pid}").exists():
            _run("umount", "--lazy", place)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={"PATH": SYSTEM_PATH})
