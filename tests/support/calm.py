"""Waiting until a host is as machines find it that come once in a while."""

import asyncio

from vmpool.drivers.local import LocalDriver

LOOK_SECONDS = 0.005
CALM_SECONDS_MAX = 120


async def calm(driver: LocalDriver) -> None:
    """Return when its processes wait, and nothing of earlier machines is being given back."""
    launcher = driver._launcher
    async with asyncio.timeout(CALM_SECONDS_MAX):
        while launcher._leaving or (launcher._preparing and not launcher._preparing.done()):
            await asyncio.sleep(LOOK_SECONDS)
