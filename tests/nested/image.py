"""The root image of L1: packages of the host's own release and nothing of ours.

<cache>/lock           held while an image is built, and while a run begins
<cache>/l1-<key>/      kernel, initrd, disk, manifest; the key is the recipe's digest
<cache>/building-*/    work in progress, or what a crash left of it
"""

import asyncio
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vmpool.image_recipe.base import make_tree, read_manifest
from vmpool.image_recipe.initrd import make_initrd
from vmpool.image_recipe.lock import exclusive
from vmpool.image_recipe.programs import demand_programs, remove_tree, run
from vmpool.image_recipe.recipe import Recipe, recipe_of_host

Say = Callable[[str], None]
"""Tells a person one line."""

PACKAGES = (
    "busybox-static", "e2fsprogs", "git", "iproute2", "kmod", "nftables", "openssh-server",
    "passwd", "procps", "python3", "qemu-utils", "util-linux", "xfsprogs",
)  # fmt: skip
START = Path(__file__).parent / "l1" / "start.sh"
DISK_GIB = 4
"""Apparent size; sparse. Tests write to a disk of their own."""
IDLE_HOURS_MAX = 48
"""Images of other recipes that were not used for so long are removed."""

_KERNEL, _INITRD, _DISK, _MANIFEST = "kernel", "initrd", "disk", "manifest"
_PARTS = "boot/ona"
"""Where the product's recipe leaves kernel and modules in the tree."""


@dataclass(frozen=True, kw_only=True)
class L1Image:
    """What L1 boots from; never written to."""

    kernel: Path
    initrd: Path
    disk: Path
    python: tuple[int, int]
    """Major and minor version of its python3."""


async def ensure_l1_image(cache: Path, *, say: Say) -> L1Image:
    """Find the image of this host's release, or build it, which takes about a minute.

    :raises HostUnfit: a program, a right, the network or a known distribution is missing
    :raises HostFull: no room
    """
    recipe = await asyncio.to_thread(l1_recipe)
    directory = cache / f"l1-{_key(recipe)}"
    waiting = "another run builds the image of L1; waiting for it"
    async with exclusive(cache / "lock", on_wait=lambda: say(waiting)) as held:
        if not directory.is_dir():
            await asyncio.to_thread(_remove_old, cache)
            began = time.monotonic()
            await _build(recipe, directory, held=held, say=say)
            say(f"image of L1: built in {time.monotonic() - began:.0f} s")
        os.utime(directory)
    return _found(directory)


def l1_recipe() -> Recipe:
    """The product's recipe with other packages and without the guest program.

    :raises HostUnfit: not a Debian or Ubuntu with its own archive among its package sources
    """
    product = recipe_of_host()
    kernel = [name for name in product.packages if name.startswith("linux-image-")]
    return replace(product, packages=(*PACKAGES, *kernel), program={})


def _key(recipe: Recipe) -> str:
    start = hashlib.sha256(START.read_bytes() + Path(__file__).read_bytes())
    return f"{recipe.base_key}-{start.hexdigest()[:8]}"


def _found(directory: Path) -> L1Image:
    packages = (directory / _MANIFEST).read_text()
    version = re.search(r"^python3=(\d+)\.(\d+)", packages, re.MULTILINE)
    assert version is not None
    return L1Image(
        kernel=directory / _KERNEL,
        initrd=directory / _INITRD,
        disk=directory / _DISK,
        python=(int(version[1]), int(version[2])),
    )


async def _build(recipe: Recipe, into: Path, *, held: int, say: Say) -> None:
    demand_programs({"mke2fs": "e2fsprogs", "tar": "tar"})
    with _workshop(into.parent) as work:
        tar = await make_tree(
            recipe, work, held=held, on_step=lambda step: say(f"image of L1: {step}")
        )
        tree, complete = work / "unpacked", work / "complete"
        tree.mkdir()
        complete.mkdir()
        (complete / _MANIFEST).write_text(await asyncio.to_thread(read_manifest, tar))
        # Built by a normal user all files are his; in L1 everything runs as root anyway.
        unpack = ["tar", "-C", str(tree), "-p", "--exclude=./dev/*", "-xf", str(tar)]
        await run(unpack, held=held)
        parts = tree / _PARTS
        os.rename(parts / "kernel", complete / _KERNEL)
        initrd = make_initrd(busybox=parts / "busybox", modules=parts / "modules", init=START)
        (complete / _INITRD).write_bytes(initrd)
        await run(_mke2fs(tree, complete / _DISK), held=held)
        os.rename(complete, into)


def _mke2fs(tree: Path, disk: Path) -> list[str]:
    # No journal: what L1 writes is thrown away when it ends.
    options = ["-m", "0", "-O", "^has_journal", "-E", "root_owner=0:0"]
    return [
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-d",
        str(tree),
        *options,
        str(disk),
        f"{DISK_GIB}G",
    ]


@contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        yield work
    finally:
        remove_tree(work)


def _remove_old(cache: Path) -> None:
    earliest = time.time() - IDLE_HOURS_MAX * 3600
    old = [path for path in cache.glob("l1-*") if path.stat().st_mtime < earliest]
    for path in (*cache.glob("building-*"), *old):
        remove_tree(path)
