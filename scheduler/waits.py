"""Waiting for one of several things, at most for a while."""

import asyncio


async def first_of(*events: asyncio.Event, seconds_max: float) -> bool:
    """Return when one of `events` is set, at the latest after `seconds_max`; whether one is."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(
            waits, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)
    finally:
        for wait in waits:
            wait.cancel()
