"""Waiting out a forge's throttle, where there is time for that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from adapters.chat.port import Deadline, Throttled

T = TypeVar("T")


async def patiently(ask: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
    """What `ask` returns, begun again after each throttle that ends before the deadline.

    :raises Throttled: it ends later
    """
    while True:
        try:
            return await ask()
        except Throttled as throttled:
            if throttled.retry_seconds >= deadline.left_seconds:
                raise
            await asyncio.sleep(throttled.retry_seconds)
