"""The expensive half: a tree of packages, made by mmdebstrap, kept as a tar.

Nothing of the host goes in but its package sources. As root the tree is made in a private mount
namespace; as a normal user in a user namespace, which needs `newuidmap` and a range in
/etc/subuid. Either way the tar has the owners that the machine will see.
"""

import asyncio
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

from vmpool.errors import HostUnfit
from vmpool.image_recipe.programs import Failed, demand_programs, run
from vmpool.image_recipe.recipe import Recipe

TREE = "tree.tar"
MANIFEST = "boot/ona/manifest"
"""Inside the tree; written by customize.sh."""
PROGRAMS = {"mmdebstrap": "mmdebstrap", "apt-get": "apt", "tar": "tar"}
STEPS = {
    "running apt-get update": "reading the package lists",
    "downloading packages with apt": "downloading",
    "extracting archives": "unpacking",
    "installing essential packages": "installing the essential packages",
    "installing remaining packages inside the chroot": "installing the other packages",
    "creating tarball": "writing the tree",
}
"""What mmdebstrap says of itself, in our words."""

_PROXY = re.compile(r'^(Acquire::\w+::Proxy(?:::\S+)?) "([^"]+)";$', re.MULTILINE)


async def make_tree(
    recipe: Recipe, work: Path, *, held: int, on_step: Callable[[str], None]
) -> Path:
    """Download, install and customize; returns the tar inside `work`. Minutes.

    :raises HostUnfit: a program, a right or the network is missing
    :raises HostFull: no room
    """
    demand_programs(PROGRAMS)
    unshared = os.geteuid() != 0
    if unshared:
        demand_programs({"newuidmap": "uidmap"})
    sources, tree = work / "archive.sources", work / TREE
    await asyncio.to_thread(sources.write_text, recipe.sources)
    argv = [
        # Killed with us, it still tidies up.
        *("setpriv", "--pdeathsig", "TERM", "--"),
        *([] if unshared else await _own_mounts(held)),
        *("mmdebstrap", f"--mode={'unshare' if unshared else 'root'}", "--format=tar"),
        *recipe.base_options,
        *(f"--aptopt={option}" for option in await _proxies(held)),
        *(recipe.release.codename, str(tree), str(sources)),
    ]
    # Our own initrd starts the machine: the packages' hooks need not make another one.
    environment = {"INITRD": "No"}
    if not unshared:
        # What a crash leaves lies then where the next build removes it.
        environment["TMPDIR"] = str(work)

    def on_line(line: str) -> None:
        step = line.removeprefix("I: ").rstrip(".")
        if step in STEPS:
            on_step(STEPS[step])

    try:
        await run(argv, held=held, on_line=on_line, environment=environment)
    except Failed as error:
        raise _explained(error, unshared=unshared) from error
    return tree


def read_manifest(tree: Path) -> str:
    """Which packages are in a tree, one `name=version` per line."""
    with tarfile.open(tree) as archive:
        file = archive.extractfile(f"./{MANIFEST}")
        assert file is not None
        return file.read().decode()


async def _own_mounts(held: int) -> list[str]:
    """As root: a mount namespace, so that what a kill leaves mounted is gone with its process.

    Else removing the leftover would reach into the host's /dev/shm. Where that is forbidden,
    mmdebstrap can mount nothing either.
    """
    prefix = ["unshare", "--mount", "--propagation", "private", "--"]
    try:
        await run([*prefix, "true"], held=held)
    except Failed:
        return []
    return prefix


async def _proxies(held: int) -> list[str]:
    """How this host's apt reaches the archive; mmdebstrap's doesn't look."""
    words = await run(["apt-config", "dump", "Acquire"], held=held)
    return [f'{name} "{value}"' for name, value in _PROXY.findall(words)]


def _explained(error: Failed, *, unshared: bool) -> HostUnfit:
    words = str(error)
    if unshared and re.search(r"subuid|subgid|unshare|newuidmap|user namespace", words):
        return HostUnfit(
            "this user may not make a file tree with owners of its own, which the guest image "
            "needs: allow user namespaces and give it a range in /etc/subuid and /etc/subgid "
            f"(usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER), or build "
            f"as root once. {words}"
        )
    return HostUnfit(f"the packages of the guest image could not be installed: {words}")
