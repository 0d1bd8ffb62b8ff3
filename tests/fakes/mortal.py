"""A process of ours that is killed at a step: from then on nothing it does has an effect.

A step is a transaction or a call of the driver. What a `kill -9` leaves is what was done before;
clean-up code still runs here, and finds that every door is shut.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from vmpool.begin import Begin

_STEPS = frozenset(
    {
        "boot",
        "clone",
        "create",
        "destroy",
        "drop",
        "freeze",
        "hibernate",
        "open_channel",
        "pause",
        "resume",
        "unpause",
    }
)
"""Calls of a driver that change something."""


class Killed(Exception):
    """The process does not live any more."""


class Mortal:
    """Counts the steps of a process and ends it at one of them."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._left: int | None = None
        self._dead = False

    def kill_after(self, steps: int) -> None:
        """Let so many more steps happen."""
        self._left = steps

    def step(self, name: str) -> None:
        """One is about to happen. :raises Killed:"""
        if self._left == 0:
            self._dead = True
        if self._dead:
            raise Killed(name)
        if self._left is not None:
            self._left -= 1
            self.steps.append(name)

    def begin(self, begin: Begin) -> Begin:
        """Transactions of this process."""

        def mortal() -> AbstractAsyncContextManager[Any]:
            self.step("transaction")
            return begin()

        return mortal

    def driver(self, driver: Any) -> Any:
        """The driver as this process calls it."""
        return _MortalDriver(driver, self)


class _MortalDriver:
    def __init__(self, driver: Any, mortal: Mortal) -> None:
        self._driver = driver
        self._mortal = mortal

    def __getattr__(self, name: str) -> Any:
        found: Callable[..., Any] = getattr(self._driver, name)
        if name not in _STEPS:
            return found

        async def call(*args: Any, **known: Any) -> Any:
            self._mortal.step(name)
            return await found(*args, **known)

        return call
