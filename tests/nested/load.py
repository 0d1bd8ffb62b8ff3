"""What L1 is given to work on, as a tar that it sees as a disk and unpacks while it boots.

/bed/             our scripts, the project, its Python packages, the hypervisor
/root/.ssh        who may log in
/root/.cache      the tiny guest, which could not be built inside: L1 reaches no archive
"""

import importlib.util
import io
import os
import sysconfig
import tarfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import BUSYBOX

ROOT = Path(__file__).parents[2]
L1 = Path(__file__).parent / "l1"

PROJECT = "/bed/ona"
PACKAGES = "/bed/site-packages"
HYPERVISOR = "/bed/cloud-hypervisor"
SCRIPTS = ("hold_kvm.py", "setup.sh")

NOT_COPIED = {"__pycache__", "node_modules"}
"""Directories of the project; those with a leading dot are not copied either."""
NOT_INSTALLED = {
    "ast-serialize", "axe-playwright-python", "grimp", "import-linter", "mypy", "playwright",
    "ruff",
}  # fmt: skip
"""Python packages that are large and of no use in L1: browsers and linters."""


def write_load(tar: Path, *, public_key: str, hypervisor: Path, guest: Path) -> None:
    """Write the tar; seconds, and a few dozen MiB.

    :param guest: the directory of the tiny guest in this host's cache
    :raises OSError: a file can't be read, or there is no room
    """
    with tarfile.open(tar, "w", format=tarfile.GNU_FORMAT) as archive:
        for name in SCRIPTS:
            _add(archive, L1 / name, f"/bed/{name}")
        _add(archive, L1 / "inittab", "/etc/inittab")
        _add_bytes(archive, public_key.encode(), "/root/.ssh/authorized_keys")
        _add(archive, hypervisor, HYPERVISOR, mode=0o755)
        # The tiny guest's name in the cache depends on the very bytes of it.
        _add(archive, BUSYBOX, "/usr/bin/busybox", mode=0o755)
        for path in sorted(guest.iterdir()):
            _add(archive, path, f"/root/.cache/{cache_dir().name}/{guest.name}/{path.name}")
        for path in project_files():
            _add(archive, path, f"{PROJECT}/{path.relative_to(ROOT)}")
        site = Path(sysconfig.get_path("purelib"))
        for path in package_files(site):
            _add(archive, path, f"{PACKAGES}/{path.relative_to(site)}")


def project_files() -> Iterator[Path]:
    """All files of the checkout but caches and environments."""
    for directory, directories, names in os.walk(ROOT):
        directories[:] = sorted(
            name for name in directories if name not in NOT_COPIED and not name.startswith(".")
        )
        yield from (Path(directory, name) for name in sorted(names))


def package_files(site: Path) -> Iterator[Path]:
    """All files of the installed packages that L1 needs, compiled ones included."""
    for distribution in distributions(path=[str(site)]):
        if distribution.name.lower().replace("_", "-") in NOT_INSTALLED:
            continue
        for file in distribution.files or ():
            path = site / file
            if ".." in file.parts or not path.is_file():
                continue
            yield path
            compiled = Path(importlib.util.cache_from_source(str(path)))
            # Compiling would take L1 longer than everything else together.
            if path.suffix == ".py" and compiled.is_file():
                yield compiled


def _add(archive: tarfile.TarFile, path: Path, name: str, *, mode: int | None = None) -> None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return  # somebody's editor was quicker
    status = path.stat()
    usual = 0o755 if status.st_mode & 0o100 else 0o644
    _add_bytes(archive, data, name, mode=mode or usual, mtime=int(status.st_mtime))


def _add_bytes(
    archive: tarfile.TarFile, data: bytes, name: str, *, mode: int = 0o644, mtime: int = 0
) -> None:
    member = tarfile.TarInfo(name.removeprefix("/"))
    member.size, member.mode, member.mtime = len(data), mode, mtime
    archive.addfile(member, io.BytesIO(data))
