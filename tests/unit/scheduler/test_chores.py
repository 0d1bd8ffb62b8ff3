"""Chores: each on its own clock, none able to stop another."""

import asyncio

from scheduler.chores import Chore, run_chores


async def test_a_chore_that_fails_is_tried_again_and_stops_no_other():
    stop, failed, done = asyncio.Event(), [], []

    async def fails() -> None:
        failed.append(1)
        raise ValueError("no")

    async def works() -> None:
        done.append(1)
        if len(done) > 3 and len(failed) > 3:
            stop.set()

    chores = [
        Chore(name="fails", seconds=0.001, run=fails),
        Chore(name="works", seconds=0.001, run=works),
    ]
    async with asyncio.timeout(100):
        await run_chores(chores, stop)
    assert min(len(failed), len(done)) > 3
