"""Real network slots, and a world around the gateway that is at them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway_world import OWN, SIX, WORLD, World, namespaces
from vmpool.network.slots import Slots, missing


@pytest.fixture
async def slots(tmp_path: Path) -> AsyncIterator[Slots]:
    if why := missing():
        pytest.skip(f"!!! NOT TESTED: {why}")
    made = Slots(tmp_path, count_max=3)
    try:
        yield made
    finally:
        await Slots(tmp_path, count_max=3).open({})


@pytest.fixture
async def world(slots: Slots, tmp_path: Path) -> AsyncIterator[World]:
    heard = tmp_path / "heard"
    with namespaces() as (name, outside):
        words = {"heard": str(heard), "world": [*WORLD, SIX], "own": OWN, "outside": outside}
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", name, sys.executable, "-m", "tests.support.gateway_process"),
            json.dumps(words),
            cwd=Path(__file__).parents[3],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        made = World(process, heard, outside)
        try:
            assert await made.tell(do="ready") == "ready"
            yield made
        finally:
            assert process.stdin
            process.stdin.close()
            await process.wait()
