"""An asynchronous server beside a test that is not: on a loop of its own, in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

Served = TypeVar("Served")


@contextmanager
def aside(made: AbstractAsyncContextManager[Served]) -> Iterator[Served]:
    """What `made` gives, which serves while inside."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        given = asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result()
        try:
            yield given
        finally:
            asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
