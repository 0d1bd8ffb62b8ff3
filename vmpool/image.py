"""The guest image: found in a cache directory, or built there.

    <cache>/lock                    held while something is built or removed
    <cache>/base-<key>-<seconds>/   the tree of packages as a tar; the number is when it was made
    <cache>/layer-<name>-<digest>/  an agent, or what it runs on: `vmpool.layers`
    <cache>/image-<digest>/         kernel, initrd, disk: what machines boot from
    <cache>/building-*/             work in progress, or what a crash left of it

A directory gets its name by a rename when it is complete. The packages are the expensive half and
are renewed when they are too old; when only the guest program changes, they are used again, and
so are the layers.
"""

import asyncio
import errno
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vmpool import layers
from vmpool.driver import Image
from vmpool.errors import HostFull, HostUnfit
from vmpool.image_recipe.base import TREE, make_tree, read_manifest
from vmpool.image_recipe.layers import Layer
from vmpool.image_recipe.lock import exclusive, try_lock
from vmpool.image_recipe.pack import DISK, INITRD, KERNEL, pack
from vmpool.image_recipe.programs import remove_tree, sync_files
from vmpool.image_recipe.recipe import Recipe, recipe_of_host
from vmpool.image_recipe.workshop import (
    Progress,
    Steps,
    demand_room,
    mark_used,
    remove_leftovers,
    workshop,
)

DAY_SECONDS = 24 * 3600
AGE_DAYS_MAX = 7.0
"""Older packages are renewed, for security fixes."""
ROOM_MIB_MIN = 3 * 1024
"""Free space that a build from nothing is started with."""


async def ensure_image(
    cache: Path,
    *,
    progress: Progress,
    agents: Collection[str] = (),
    engine: bool = False,
    age_days_max: float = AGE_DAYS_MAX,
    recipe: Recipe | None = None,
) -> Image:
    """Find the image of this host and this guest program, or build it.

    A build takes a minute or two; with packages that are young enough it takes seconds. `progress`
    is told each step and its seconds. Builds in the same cache wait for each other. Packages older
    than `age_days_max` are renewed; when that fails, the old image is used and `progress` told why.
    An agent that can't be fetched is left out, and `progress` told why; the next call tries again.
    A failed or interrupted build leaves nothing that the next one would not remove.

    :param agents: those of `vmpool.image_recipe.layers.AGENTS` that the image is to hold
    :param engine: whether it is to hold what makes dev containers
    :param recipe: another recipe than that of this host and these
    :raises HostUnfit: a program, a right, the network or a known distribution is missing
    :raises HostFull: no room
    """
    if recipe is None:
        recipe = await asyncio.to_thread(recipe_of_host, agents=agents, engine=engine)
    builder = _Builder(cache, recipe, Steps(progress), age_days_max)
    image = await asyncio.to_thread(builder.find)
    if image is not None:
        return image
    try:
        await asyncio.to_thread(cache.mkdir, parents=True, exist_ok=True)
        waiting = "another process builds the guest image; waiting for it"
        async with exclusive(cache / "lock", on_wait=lambda: progress(waiting)) as held:
            return await asyncio.to_thread(builder.find) or await builder.build(held)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostFull(f"no room for the guest image below {cache}: {error}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise HostUnfit(f"{cache} can't be written; give it to this user: {error}") from error
        raise


@dataclass(frozen=True, kw_only=True)
class Cached:
    """What a cache holds of an image."""

    packages: Path
    age_days: float
    """Of the packages."""
    too_old: bool
    """They will be renewed before anything is made of them."""
    image: Image | None
    """None: it is to be made of them, which takes seconds."""
    layers: tuple[Layer, ...]
    """Those that the image holds, or will."""
    missing: Mapping[str, str]
    """Agents that could not be fetched yet → why."""


def cached_image(
    cache: Path,
    *,
    agents: Collection[str] = (),
    age_days_max: float = AGE_DAYS_MAX,
    recipe: Recipe | None = None,
) -> Cached | None:
    """What `ensure_image` would find; None: it would build everything. Reads a few small files.

    :raises HostUnfit: not a known distribution
    """
    recipe = recipe or recipe_of_host(agents=agents)
    base = _newest_base(cache, recipe)
    if base is None:
        return None
    found = layers.found(cache, recipe.layers)
    return Cached(
        packages=base.path,
        age_days=base.age_days,
        too_old=base.is_too_old(age_days_max),
        image=_image(cache, replace(recipe, layers=found), base.manifest),
        layers=found,
        missing=layers.why_missing(cache, recipe.layers),
    )


async def remove_unused(cache: Path, in_use: set[str], *, idle_hours_min: float = 1) -> list[str]:
    """Remove images that no machine boots from; packages and layers that no image is made of.

    What `ensure_image` last gave out stays, as does what it gave out in the last hours. While
    something is built, nothing is done.

    :param in_use: the digests of all machines of this cache, and those that running processes hold
    :returns: the digests of what was removed
    """
    return await asyncio.to_thread(_remove_unused, cache, in_use, idle_hours_min * 3600)


@dataclass(frozen=True, kw_only=True)
class _Base:
    path: Path
    made_at: float
    manifest: str

    @property
    def age_days(self) -> float:
        return (time.time() - self.made_at) / DAY_SECONDS

    def is_too_old(self, age_days_max: float) -> bool:
        return not 0 <= self.age_days <= age_days_max


class _Builder:
    def __init__(self, cache: Path, recipe: Recipe, steps: Steps, age_days_max: float) -> None:
        self._cache = cache
        self._recipe = recipe
        self._steps = steps
        self._age_days_max = age_days_max

    def find(self) -> Image | None:
        """The image, if it is there, whole, and its packages are young enough."""
        found = cached_image(self._cache, age_days_max=self._age_days_max, recipe=self._recipe)
        if found is None or found.too_old or found.image is None or found.missing:
            return None
        layers.mark_layers_used(self._cache, found.layers)
        mark_used(found.packages)
        mark_used(found.image.disk.parent)
        return found.image

    async def build(self, held: int) -> Image:
        """Build what is missing. The lock is held."""
        await asyncio.to_thread(remove_leftovers, self._cache)
        base = _newest_base(self._cache, self._recipe)
        if base is None:
            base = await self._build_base(held)
        elif base.is_too_old(self._age_days_max):
            base = await self._renew_base(base, held)
        wanted = self._recipe.layers
        await layers.fetch_missing(self._cache, wanted, held=held, steps=self._steps)
        recipe = replace(self._recipe, layers=layers.found(self._cache, wanted))
        layers.mark_layers_used(self._cache, recipe.layers)
        image = _image(self._cache, recipe, base.manifest)
        return image or await self._build_image(base, recipe, held)

    async def _renew_base(self, old: _Base, held: int) -> _Base:
        try:
            return await self._build_base(held)
        except (HostUnfit, HostFull) as error:
            self._steps.tell(
                f"the guest's packages are {old.age_days:.0f} days old and could not be renewed, "
                f"the old ones are used: {error}"
            )
            return old

    async def _build_base(self, held: int) -> _Base:
        demand_room(self._cache, ROOM_MIB_MIN, "building the guest image")
        made_at = int(time.time())
        name = f"packages of {self._recipe.release.name}"
        with workshop(self._cache) as work:
            async with self._steps.step(name) as tell:
                tree = await make_tree(self._recipe, work, held=held, on_step=tell)
                manifest = await asyncio.to_thread(read_manifest, tree)
            complete = work / "complete"
            complete.mkdir()
            os.rename(tree, complete / TREE)
            (complete / "manifest").write_text(manifest)
            await asyncio.to_thread(sync_files, complete)
            path = self._cache / f"base-{self._recipe.base_key}-{made_at}"
            os.rename(complete, path)
        return _Base(path=path, made_at=made_at, manifest=manifest)

    async def _build_image(self, base: _Base, recipe: Recipe, held: int) -> Image:
        digest = recipe.image_digest(base.manifest)
        tars = layers.tars(self._cache, recipe.layers)
        with workshop(self._cache) as work:
            complete = work / "complete"
            complete.mkdir()
            async with self._steps.step("guest's file system"):
                tree = base.path / TREE
                await pack(recipe, tree, tars, complete, digest=digest, held=held)
            layers.write_list(complete, recipe.layers)
            os.rename(complete, self._cache / f"image-{digest}")
        image = _image(self._cache, recipe, base.manifest)
        assert image is not None
        return image


def _image(cache: Path, recipe: Recipe, manifest: str) -> Image | None:
    digest = recipe.image_digest(manifest)
    directory = (cache / f"image-{digest}").absolute()
    if not directory.is_dir():
        return None
    return Image(
        kernel=directory / KERNEL,
        initrd=directory / INITRD,
        disk=directory / DISK,
        digest=digest,
        agents=tuple(each.name for each in recipe.layers if each.is_agent),
    )


def _newest_base(cache: Path, recipe: Recipe) -> _Base | None:
    return max(_bases(cache, recipe.base_key), key=lambda each: each.made_at, default=None)


def _bases(cache: Path, key: str) -> Iterator[_Base]:
    for path in cache.glob(f"base-{key}-*"):
        try:
            manifest = (path / "manifest").read_text()
        except FileNotFoundError:
            continue  # is being removed
        yield _Base(path=path, made_at=float(path.name.rpartition("-")[2]), manifest=manifest)


def _remove_unused(cache: Path, in_use: set[str], idle_seconds_min: float) -> list[str]:
    try:
        descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        if not try_lock(descriptor):
            return []
        remove_leftovers(cache)
        for path in _idle(cache, "base-*", idle_seconds_min):
            remove_tree(path)
        unused = [
            path
            for path in _idle(cache, "image-*", idle_seconds_min)
            if path.name.removeprefix("image-") not in in_use
        ]
        for path in unused:
            remove_tree(path)
        layers.remove_unneeded(cache)
        return [path.name.removeprefix("image-") for path in unused]
    finally:
        os.close(descriptor)


def _idle(cache: Path, pattern: str, seconds_min: float) -> list[Path]:
    """All but the one that was asked for last, and those that were asked for lately."""
    by_use = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime)
    latest = time.time() - seconds_min
    return [path for path in by_use[:-1] if path.stat().st_mtime < latest]
