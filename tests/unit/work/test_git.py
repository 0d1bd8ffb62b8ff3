"""Git on the host: that none of its processes is left."""

import asyncio
import time
from pathlib import Path

import pytest

from bot.work.git import GitLimits, git
from tests.support.family import family

DEADLINE_SECONDS = 20


@pytest.mark.parametrize("steps", range(14))
async def test_cancelled_at_any_step_of_its_start_it_leaves_none_of_its_family(
    tmp_path: Path, steps: int
) -> None:
    born = tmp_path / "born"
    mark = {"ONA_TEST_FAMILY": str(tmp_path)}
    waits = f"alias.wait=!sleep 1000 & touch {born}; wait"
    limits = GitLimits(seconds_max=1000)
    task = asyncio.ensure_future(
        git("-c", waits, "wait", git_dir=tmp_path, limits=limits, more=mark)
    )
    for _ in range(steps):
        await asyncio.sleep(0)
    # Without the loop: it stands still at this step while the family grows.
    until = time.monotonic() + DEADLINE_SECONDS
    while family(mark) and not born.exists() and time.monotonic() < until:
        time.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(DEADLINE_SECONDS):
        while family(mark):
            await asyncio.sleep(0.01)
