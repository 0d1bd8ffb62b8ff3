"""Checks of what is kept: data directory, disk, database, guest image."""

import asyncio
import os
from pathlib import Path

import psycopg

from bot.config import Settings
from bot.doctor import stored
from bot.doctor.finding import Finding, Verdict
from bot.doctor.stored import database_url
from bot.errors import OnaError
from bot.govern.instructions import read
from bot.processes import at_of, running
from bot.words.listening import since
from vmpool.errors import HostUnfit
from vmpool.image import Cached, cached_image

CONNECT_SECONDS_MAX = 5
FREE_GIB_MIN = 1.0
FREE_GIB_WANTED = 5.0
"""A guest image takes 3 GiB while it is made; machines take what they write."""
POSTGRES_OLDEST = 15


async def check_data_dir(settings: Settings) -> Finding:
    """The data directory: ours, writable, private."""
    name, directory = "data directory", settings.data_dir
    existing = existing_part(directory)
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=f"{existing} can't be written",
            follows="Nothing can be kept.",
            do="Choose another one by ONA_DATA_DIR.",
        )
    if existing != directory:
        return Finding(name=name, verdict=Verdict.FINE, found=f"{directory} will be made")
    if directory.stat().st_mode & 0o077:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"{directory} is open to others",
            follows="What people work on is kept there.",
            do=f"chmod 700 {directory}",
        )
    return Finding(name=name, verdict=Verdict.FINE, found=str(directory))


async def check_processes(settings: Settings) -> Finding:
    """What `ona up` keeps alive here, and since when."""
    name, found = "processes", running(settings.data_dir)
    if found is None:
        return Finding(name=name, verdict=Verdict.FINE, found="`ona up` does not run here")
    shown, logs = [], []
    for one in found:
        if one.pid is None:
            shown.append(f"{one.name} does not run, its last life ended by {one.ended}")
            logs.append(str(settings.logs_dir / f"{one.name}.log"))
        else:
            again = f", started again {one.restarts}×" if one.restarts else ""
            shown.append(f"{one.name} {since(at_of(one))}{again}")
    return Finding(
        name=name,
        verdict=Verdict.LESS if logs else Verdict.FINE,
        found="; ".join(shown),
        follows="It is started again and again." if logs else "",
        do=f"Look at the end of {' and '.join(logs)}." if logs else "",
    )


async def check_disk(settings: Settings) -> Finding:
    """Room for the image, machines and their memory."""
    room = os.statvfs(existing_part(settings.data_dir))
    free = room.f_bavail * room.f_frsize / 2**30
    found = f"{free:.1f} GiB free at {settings.data_dir}"
    if free >= FREE_GIB_WANTED:
        return Finding(name="disk", verdict=Verdict.FINE, found=found)
    return Finding(
        name="disk",
        verdict=Verdict.MISSING if free < FREE_GIB_MIN else Verdict.LESS,
        found=found,
        follows="Making the image takes 3 GiB for a while, and machines rest with their memory.",
        do="Make room, or choose another ONA_DATA_DIR.",
    )


async def check_database(settings: Settings) -> Finding:
    """The configured PostgreSQL, or the one that `ona up` brings."""
    name = "database"
    url = database_url(settings)
    if url is None:
        return Finding(
            name=name, verdict=Verdict.FINE, found="`ona up` starts its own; it is not running"
        )
    try:
        version = await _server_version(url)
    except psycopg.Error as error:
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=" ".join(str(error).split()),
            follows="Nothing is accepted while it is away.",
            do="Start it, or mend database.url.",
        )
    if version < POSTGRES_OLDEST:
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=f"PostgreSQL {version}",
            follows="Its SQL lacks what ona uses.",
            do=f"Use {POSTGRES_OLDEST} or newer.",
        )
    return Finding(name=name, verdict=Verdict.FINE, found=f"PostgreSQL {version} answers")


async def check_image(settings: Settings) -> Finding:
    """The guest image; it is made when it is first needed."""
    name = "guest image"
    try:
        cached = await asyncio.to_thread(_cached, settings)
    except HostUnfit as error:
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=str(error),
            follows="No guest image can be found or made.",
        )
    if cached is None:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found="not made yet",
            follows="The first start takes some minutes longer.",
        )
    found = f"packages of {cached.age_days:.0f} days ago"
    if cached.too_old:
        follows = "The next start makes it again, for security fixes."
    elif cached.image is None:
        follows = "The next start makes it of them, which takes seconds."
    else:
        return Finding(name=name, verdict=Verdict.FINE, found=found)
    return Finding(name=name, verdict=Verdict.LESS, found=found, follows=follows)


async def check_agents(settings: Settings) -> Finding:
    """The agents of the guest image."""
    name, wanted = "agents", settings.agents_installed
    if not wanted:
        return Finding(
            name=name,
            verdict=Verdict.FINE,
            found="none are wanted: no provider of models is set, and no agents.installed",
        )
    try:
        cached = await asyncio.to_thread(_cached, settings)
    except HostUnfit:  # that is the image's own finding
        cached = None
    if cached is None:
        found = f"{', '.join(wanted)} will be put into the guest image when it is made"
        return Finding(name=name, verdict=Verdict.FINE, found=found)
    held = [f"{each.name} {each.version}" for each in cached.layers if each.is_agent]
    if not cached.missing:
        return Finding(name=name, verdict=Verdict.FINE, found="; ".join(held))
    missing = [f"{agent} is missing: {why}" for agent, why in cached.missing.items()]
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found="; ".join([*held, *missing]),
        follows="Turns that are given to it fail.",
        do="The next start fetches it by npm; docs/agents.md says from where.",
    )


async def check_instructions(settings: Settings) -> Finding:
    """What all agents are told besides."""
    name, directory = "instructions", settings.agents.instructions
    if directory is None:
        return Finding(name=name, verdict=Verdict.FINE, found="agents.instructions is not set")
    try:
        found = await asyncio.to_thread(read, directory)
    except OnaError as error:
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=error.happened,
            follows="`ona work` does not start; one that runs keeps to what it read before.",
            do=f"Mend {directory}.",
        )
    skills = len({path.partition("/")[0] for path in found.skills})
    said = f"{len(found.text.encode())} bytes of rules, {skills} skills"
    return Finding(name=name, verdict=Verdict.FINE, found=said)


async def check_halts(settings: Settings) -> Finding:
    """Whether an operator halted something."""
    name = "halt"
    found = await stored.halts(settings)
    if not found:
        return Finding(name=name, verdict=Verdict.FINE, found="nothing is halted")
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found="; ".join(one.told for one in found),
        follows="Its prompts are kept and wait.",
        do=f"{', '.join(f'`{one.undone_by}`' for one in found)} lets it go on; "
        "`ona halt --list` shows since when.",
    )


def newest_kernel(settings: Settings) -> Path | None:
    """A kernel to try things with, of the image made last; None: no image was made yet."""
    kernels = settings.image_cache.glob("image-*/kernel")
    return max(kernels, key=lambda path: path.stat().st_mtime, default=None)


def existing_part(directory: Path) -> Path:
    """The directory, or the nearest one above it that is there."""
    return next(path for path in (directory, *directory.parents) if path.exists())


def _cached(settings: Settings) -> Cached | None:
    return cached_image(settings.image_cache, agents=settings.agents_installed)


async def _server_version(url: str) -> int:
    connection = await psycopg.AsyncConnection.connect(
        url.replace("postgresql+psycopg://", "postgresql://", 1),
        connect_timeout=CONNECT_SECONDS_MAX,
    )
    async with connection:
        return connection.info.server_version // 10_000
