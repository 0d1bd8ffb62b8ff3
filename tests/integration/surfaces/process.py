"""`ona serve` as a process of its own, with surfaces that work and others that don't."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bot.store.surface_states import SurfaceStatus, statuses
from bot.switched import SURFACES
from tests.integration.conftest import Town

ROOT = Path(__file__).parents[3]
WAIT_SECONDS_MAX = 100


@asynccontextmanager
async def serving(
    town: Town, directory: Path, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs until the context is left; `settings` by the names of their variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONA_")}
    variables = {
        "ONA_DATA_DIR": str(directory),
        "ONA_PORT": "0",
        "ONA_DATABASE__URL": town.database.url,
        "ONA_LOG__FORMAT": "json",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "serve"),
        cwd=ROOT,
        env={**kept, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def known(town: Town) -> Mapping[str, SurfaceStatus]:
    """What any process of the installation can tell, by surface."""
    async with town.database.begin() as tx:
        return {one.surface: one for one in await statuses(tx, SURFACES)}


async def until(town: Town, **states: str) -> Mapping[str, SurfaceStatus]:
    """Wait until the surfaces are in these states; what is known then."""
    found: Mapping[str, SurfaceStatus] = {}
    try:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found = await known(town)
                if all(found[name].state == state for name, state in states.items()):
                    return found
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError({name: (one.state, one.why) for name, one in found.items()}) from None
