"""Says each step of something long, what goes on within it, and what it took."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

REMIND_SECONDS = 10.0
"""After so long without a word, who looks at a log wonders whether it hangs."""

Say = Callable[[str], None]
Result = TypeVar("Result")


class Steps:
    """The steps of `ona up`, one after the other."""

    def __init__(self, say: Say, *, remind_seconds: float = REMIND_SECONDS) -> None:
        self._say = say
        self._remind_seconds = remind_seconds
        self._last = ""
        self._said_at = 0.0

    async def run(
        self, name: str, step: Awaitable[Result], note: Callable[[Result], str]
    ) -> Result:
        """Do a step and say what it came to; a long one is heard of all the while."""
        began = monotonic()
        self._last, self._said_at = name, began
        reminding = asyncio.create_task(self._remind(began))
        try:
            result = await step
        finally:
            reminding.cancel()
        told = note(result)
        self._say(f"  {name:<12} {told + ' ' if told else ''}({monotonic() - began:.1f} s)")
        return result

    def within(self, what: str) -> None:
        """Something goes on within the step."""
        self._last, self._said_at = what, monotonic()
        self._say(f"    {what}")

    async def _remind(self, began: float) -> None:
        while True:
            pause = self._said_at + self._remind_seconds - monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
                continue
            self._said_at = monotonic()
            self._say(f"    still at it: {self._last} ({self._said_at - began:.0f} s)")
