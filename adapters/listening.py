"""How a listener tells whoever runs it whether it listens."""

import enum
from collections.abc import Callable


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
