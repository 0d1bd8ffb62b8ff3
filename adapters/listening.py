"""What listeners hear, and how one tells whoever runs it whether it listens."""

import asyncio
import enum
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass


class Condition(enum.StrEnum):
    """Whether what is said on a surface gets to us."""

    LISTENING = "listening"
    """It does."""
    FAILING = "failing"
    """It does not; it is tried again and again."""
    CONNECTING = "connecting"
    """It is not known yet, or for the moment."""
    WAITING = "waiting"
    """Another process of the installation listens; this one would take over."""
    OFF = "off"
    """A setting is missing."""


Tell = Callable[[Condition, str], None]
"""Takes the condition and, in words without secrets, why; may be called at any time."""


def nobody(condition: Condition, why: str) -> None:
    """Whom a listener tells that nobody asked."""


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


@dataclass(frozen=True, kw_only=True)
class Hears:
    """What is heard on a surface, as its listener says."""

    ways: tuple[str, ...]
    """How it gets to us, in words; the first one unless something else is set."""
    follow_ups: bool
    """Whether words that don't name us are heard, which may go on with what was asked."""
    deletions: str
    """Whether we hear that a message was deleted, in words."""
    stop_signs: Collection[str] = ()
    """Reactions to a post of ours that stop its turn."""
    missed: str = ""
    """What becomes of what was said while nobody listened, in words."""
