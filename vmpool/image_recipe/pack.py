"""The quick half: tree, guest program and layers → file system, kernel, initrd. Seconds.

Works without any right: files are unpacked as ours, and the owners that the tar names are written
into the finished file system.
"""

import asyncio
import math
import os
import tarfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from vmpool.errors import HostUnfit
from vmpool.image_recipe.initrd import make_initrd
from vmpool.image_recipe.layers import COMMANDS, HOME
from vmpool.image_recipe.programs import Failed, demand_programs, remove_tree, run, sync_files
from vmpool.image_recipe.recipe import HERE, Recipe

KERNEL, INITRD, DISK = "kernel", "initrd", "disk"
DISK_GIB_MIN = 2
"""Apparent size; sparse. The guest grows it to the size of the machine's disk."""
SPARE_GIB = 1
"""What a machine can write before it has grown it, at least."""
BYTES_PER_INODE = 8192
PROGRAMS = {"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "tar": "tar"}

GUEST = "usr/lib/ona-guest/vmpool/guest"
TOOLS = {
    "ask.py": "ona-ask",
    "command.py": "ona",
    "identity.py": "ona-token",
    "inside.py": "ona-inside",
    "preview.py": "ona-preview",
}
"""Programs for people and agents in the machine: file → what it is called there."""
_PARTS = "boot/ona"


async def pack(
    recipe: Recipe, tar: Path, layers: Mapping[str, Path], into: Path, *, digest: str, held: int
) -> None:
    """Make the files of an image in the directory `into`, using it as work space too.

    :param layers: the tar of each of the recipe's layers, by its name
    :raises HostUnfit: a program is missing, or the file system could not be made
    :raises HostFull: no room
    """
    demand_programs(PROGRAMS)
    tree = into / "tree"
    tree.mkdir()
    try:
        # The machine's /dev is the kernel's; device nodes can't be unpacked by everybody.
        await run(
            ["tar", "-C", str(tree), "--no-same-owner", "-p", "--exclude=./dev/*", "-xf", str(tar)],
            held=held,
        )
        await asyncio.to_thread(_start_files, tree, into)
        await asyncio.to_thread(_program_files, tree, recipe)
        await _compile(tree, held)
        await _unpack_layers(tree, recipe, layers, held)
        await _file_system(tree, into / DISK, digest, held)
        await _set_owners(into / DISK, tree, tar, held)
    except Failed as error:
        raise HostUnfit(f"the guest's file system could not be made: {error}") from error
    await asyncio.to_thread(remove_tree, tree)
    await asyncio.to_thread(_open_to_all, into)
    await asyncio.to_thread(sync_files, into)


def _open_to_all(into: Path) -> None:
    """Nothing in it is secret, and hypervisors that read it may run as somebody else."""
    into.chmod(0o755)
    for name in (KERNEL, INITRD, DISK):
        (into / name).chmod(0o644)


def _start_files(tree: Path, into: Path) -> None:
    parts = tree / _PARTS
    os.rename(parts / "kernel", into / KERNEL)
    initrd = make_initrd(
        busybox=parts / "busybox", modules=parts / "modules", init=HERE / "init.sh"
    )
    (into / INITRD).write_bytes(initrd)
    remove_tree(tree / "boot")
    _make_directory(tree / "boot")


def _program_files(tree: Path, recipe: Recipe) -> None:
    directory = tree / GUEST
    for each in (directory.parent.parent, directory.parent, directory):
        _make_directory(each)
    for name, data in recipe.program.items():
        (directory / name).write_bytes(data)
        (directory / name).chmod(0o755 if name in TOOLS else 0o644)
    for file, name in TOOLS.items():
        (tree / f"usr/bin/{name}").symlink_to(f"/{GUEST}/{file}")


async def _unpack_layers(tree: Path, recipe: Recipe, layers: Mapping[str, Path], held: int) -> None:
    for layer in recipe.layers:
        directory = tree / HOME / layer.name
        for each in reversed([directory, *directory.parents]):
            if not each.exists():
                _make_directory(each)
        await run(
            ["tar", "-C", str(directory), "--no-same-owner", "-p", "-xf", str(layers[layer.name])],
            held=held,
        )
        for name, text in layer.scripts().items():
            script = tree / COMMANDS / name
            script.write_text(text)
            script.chmod(0o755)


def _make_directory(path: Path) -> None:
    path.mkdir()
    # Whatever the umask of who builds: everybody in the machine goes through it.
    path.chmod(0o755)


async def _compile(tree: Path, held: int) -> None:
    """Let the guest's own Python compile, without a chroot, which would need rights."""
    loader, libraries = await asyncio.to_thread(_loader, tree)
    await run(
        [
            str(loader), "--library-path", str(libraries), str(tree / "usr/bin/python3"),
            "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash",
            "-s", str(tree), "-p", "/", str(tree / GUEST),
        ],
        held=held,
        environment={"PYTHONHOME": str(tree / "usr"), "PYTHONPATH": ""},
    )  # fmt: skip


def _loader(tree: Path) -> tuple[Path, Path]:
    """The guest's dynamic loader and the directory of its libraries."""
    libraries = next(tree.glob("usr/lib/*-linux-gnu"))
    return next(libraries.glob("ld-linux-*.so.*")), libraries


async def _file_system(tree: Path, disk: Path, digest: str, held: int) -> None:
    identity = str(uuid.uuid5(uuid.NAMESPACE_OID, digest))
    gib = await asyncio.to_thread(_gib_for, tree)
    # No journal: a machine whose process ended is never booted from its old disk. A hundredth is
    # left to root: whatever an agent fills, a job can be started, and make room again.
    await run(
        [
            "mke2fs", "-q", "-F", "-t", "ext4", "-d", str(tree), "-L", "ona", "-U", identity,
            "-b", "4096", "-i", str(BYTES_PER_INODE), "-m", "1", "-O", "^has_journal",
            "-E", f"root_owner=0:0,hash_seed={identity},lazy_itable_init=0",
            str(disk), f"{gib}G",
        ],
        held=held,
    )  # fmt: skip


def _gib_for(tree: Path) -> int:
    """How large the file system of a tree is to be."""
    used = sum(
        os.lstat(os.path.join(directory, name)).st_blocks * 512
        for directory, directories, files in os.walk(tree)
        for name in (*directories, *files)
    )
    return max(DISK_GIB_MIN, math.ceil(used / 2**30 + SPARE_GIB))


async def _set_owners(disk: Path, tree: Path, tar: Path, held: int) -> None:
    commands = await asyncio.to_thread(lambda: "".join(_owner_commands(tree, tar)))
    # It repeats each command on standard output, and fails on standard error alone.
    quietly = ["sh", "-c", 'exec debugfs -w -f - "$0" > /dev/null', str(disk)]
    words = await run(quietly, held=held, stdin=commands.encode())
    wrong = [line for line in words.splitlines() if line and not line.startswith("debugfs ")]
    if wrong:
        raise Failed(f"debugfs: {wrong[0]}")


def _owner_commands(tree: Path, tar: Path) -> Iterator[str]:
    with tarfile.open(tar) as archive:
        owners = {
            member.name.removeprefix("./"): (member.uid, member.gid)
            for member in archive
            if member.uid or member.gid
        }
    for directory, directories, files in os.walk(tree):
        for name in (*directories, *files):
            path = os.path.relpath(os.path.join(directory, name), tree)
            if '"' in path or "\n" in path:
                raise Failed(f"a package has a file with a strange name: {path!r}")
            uid, gid = owners.get(path, (0, 0))
            yield f'sif "/{path}" uid {uid}\nsif "/{path}" gid {gid}\n'
