"""What somebody alone is told while what they sent by a menu is heard: it answers that.

Discord shows words to one person in a channel only as an interaction's answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TOLD: ContextVar[tuple[str, list[str]] | None] = ContextVar("told", default=None)


@contextmanager
def collecting(person: str) -> Iterator[list[str]]:
    """Collect what this person is told meanwhile, instead of a direct message."""
    told: list[str] = []
    token = _TOLD.set((person, told))
    try:
        yield told
    finally:
        _TOLD.reset(token)


def take(person: str, text: str) -> bool:
    """Whether it answers what the person is just sending; the first words do."""
    open_for = _TOLD.get()
    if open_for is None or open_for[0] != person or open_for[1]:
        return False
    open_for[1].append(text)
    return True
