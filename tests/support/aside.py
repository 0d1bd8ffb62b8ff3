"""Asynchronous servers beside a test that is not: on a loop of their own, in a thread."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

Served = TypeVar("Served")
Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A loop that runs in another thread."""

    loop: asyncio.AbstractEventLoop

    def run(self, what: Coroutine[Any, Any, Given]) -> Given:
        """Wait for what is done there."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result()

    def call(self, what: Callable[[], Given]) -> Given:
        """The same for what wants to be called there."""

        async def called() -> Given:
            return what()

        return self.run(called())

    def enter(self, stack: ExitStack, made: AbstractAsyncContextManager[Served]) -> Served:
        """What `made` gives, which serves until the stack ends."""
        given = self.run(made.__aenter__())
        stack.callback(lambda: self.run(_left(made)))
        return given


async def _left(made: AbstractAsyncContextManager[Any]) -> None:
    await made.__aexit__(None, None, None)


@contextmanager
def aside() -> Iterator[Aside]:
    """A loop that runs while inside."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Aside(loop=loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
