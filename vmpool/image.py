"""The guest image: found in a cache directory, or built there.

    <cache>/lock                    held while something is built or removed
    <cache>/base-<key>-<seconds>/   the tree of packages as a tar; the number is when it was made
    <cache>/image-<digest>/         kernel, initrd, disk: what machines boot from
    <cache>/building-*/             work in progress, or what a crash left of it

A directory gets its name by a rename when it is complete. The packages are the expensive half and
are renewed when they are too old; when only the guest program changes, they are used again.
"""

import asyncio
import errno
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vmpool.driver import Image
from vmpool.errors import HostFull, HostUnfit
from vmpool.image_recipe.base import TREE, make_tree, read_manifest
from vmpool.image_recipe.lock import exclusive, try_lock
from vmpool.image_recipe.pack import DISK, INITRD, KERNEL, pack
from vmpool.image_recipe.programs import remove_tree, sync_files
from vmpool.image_recipe.recipe import Recipe, recipe_of_host

Progress = Callable[[str], None]

DAY_SECONDS = 24 * 3600
AGE_DAYS_MAX = 7.0
"""Older packages are renewed, for security fixes."""
ROOM_MIB_MIN = 3 * 1024
"""Free space that a build from nothing is started with."""


async def ensure_image(
    cache: Path,
    *,
    progress: Progress,
    age_days_max: float = AGE_DAYS_MAX,
    recipe: Recipe | None = None,
) -> Image:
    """Find the image of this host and this guest program, or build it.

    A build takes a minute or two; with packages that are young enough it takes seconds. `progress`
    is told each step and its seconds. Builds in the same cache wait for each other. Packages older
    than `age_days_max` are renewed; when that fails, the old image is used and `progress` told why.
    A failed or interrupted build leaves nothing that the next one would not remove.

    :param recipe: another recipe than that of this host
    :raises HostUnfit: a program, a right, the network or a known distribution is missing
    :raises HostFull: no room
    """
    if recipe is None:
        recipe = await asyncio.to_thread(recipe_of_host)
    builder = _Builder(cache, recipe, _Steps(progress), age_days_max)
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


def cached_image(
    cache: Path, *, age_days_max: float = AGE_DAYS_MAX, recipe: Recipe | None = None
) -> Cached | None:
    """What `ensure_image` would find; None: it would build everything. Reads a few small files.

    :raises HostUnfit: not a known distribution
    """
    recipe = recipe or recipe_of_host()
    base = _newest_base(cache, recipe)
    if base is None:
        return None
    return Cached(
        packages=base.path,
        age_days=base.age_days,
        too_old=base.is_too_old(age_days_max),
        image=_image(cache, recipe.image_digest(base.manifest)),
    )


async def remove_unused(cache: Path, in_use: set[str], *, idle_hours_min: float = 1) -> list[str]:
    """Remove images that no machine boots from, and packages that no image is made of any more.

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


class _Steps:
    """Tells each step and how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.tell = progress

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Progress]:
        """Yields a callback for what goes on inside the step."""
        began = time.monotonic()

        def tell(what: str) -> None:
            self.tell(f"{name}: {what} ({time.monotonic() - began:.0f} s)")

        self.tell(name)
        yield tell
        self.tell(f"{name}: done in {time.monotonic() - began:.1f} s")


class _Builder:
    def __init__(self, cache: Path, recipe: Recipe, steps: _Steps, age_days_max: float) -> None:
        self._cache = cache
        self._recipe = recipe
        self._steps = steps
        self._age_days_max = age_days_max

    def find(self) -> Image | None:
        """The image, if it is there and its packages are young enough."""
        found = cached_image(self._cache, age_days_max=self._age_days_max, recipe=self._recipe)
        if found is None or found.too_old or found.image is None:
            return None
        _mark_used(found.packages)
        _mark_used(found.image.disk.parent)
        return found.image

    async def build(self, held: int) -> Image:
        """Build what is missing. The lock is held."""
        await asyncio.to_thread(_remove_leftovers, self._cache)
        base = _newest_base(self._cache, self._recipe)
        if base is None:
            base = await self._build_base(held)
        elif base.is_too_old(self._age_days_max):
            base = await self._renew_base(base, held)
        digest = self._recipe.image_digest(base.manifest)
        return _image(self._cache, digest) or await self._build_image(base, digest, held)

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
        _demand_room(self._cache)
        made_at = int(time.time())
        name = f"packages of {self._recipe.release.name}"
        with _workshop(self._cache) as work:
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

    async def _build_image(self, base: _Base, digest: str, held: int) -> Image:
        with _workshop(self._cache) as work:
            complete = work / "complete"
            complete.mkdir()
            async with self._steps.step("guest's file system"):
                tree = base.path / TREE
                await pack(self._recipe, tree, complete, digest=digest, held=held)
            os.rename(complete, self._cache / f"image-{digest}")
        image = _image(self._cache, digest)
        assert image is not None
        return image


def _image(cache: Path, digest: str) -> Image | None:
    directory = (cache / f"image-{digest}").absolute()
    if not directory.is_dir():
        return None
    return Image(
        kernel=directory / KERNEL, initrd=directory / INITRD, disk=directory / DISK, digest=digest
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


@contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix="building-", dir=cache.absolute()))
    try:
        yield work
    finally:
        remove_tree(work)


def _remove_unused(cache: Path, in_use: set[str], idle_seconds_min: float) -> list[str]:
    try:
        descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        if not try_lock(descriptor):
            return []
        _remove_leftovers(cache)
        for path in _idle(cache, "base-*", idle_seconds_min):
            remove_tree(path)
        unused = [
            path
            for path in _idle(cache, "image-*", idle_seconds_min)
            if path.name.removeprefix("image-") not in in_use
        ]
        for path in unused:
            remove_tree(path)
        return [path.name.removeprefix("image-") for path in unused]
    finally:
        os.close(descriptor)


def _idle(cache: Path, pattern: str, seconds_min: float) -> list[Path]:
    """All but the one that was asked for last, and those that were asked for lately."""
    by_use = sorted(cache.glob(pattern), key=lambda path: path.stat().st_mtime)
    latest = time.time() - seconds_min
    return [path for path in by_use[:-1] if path.stat().st_mtime < latest]


def _mark_used(path: Path) -> None:
    with suppress(OSError):  # not ours, read-only: then it isn't ours to remove either
        os.utime(path)


def _remove_leftovers(cache: Path) -> None:
    for path in cache.glob("building-*"):
        remove_tree(path)


def _demand_room(cache: Path) -> None:
    found = os.statvfs(cache)
    free_mib = found.f_bavail * found.f_frsize >> 20
    if free_mib < ROOM_MIB_MIN:
        raise HostFull(
            f"building the guest image takes {ROOM_MIB_MIN} MiB for a while and {free_mib} MiB are "
            f"free below {cache}; make room or put the data directory elsewhere"
        )
