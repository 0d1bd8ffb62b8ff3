"""Waiting for one of several things, at most for a while."""

import asyncio


async def first_of(*events: asyncio.Event, seconds_max: float) -> None:
    """Return when one of `events` is set, at the latest after `seconds_max`."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
