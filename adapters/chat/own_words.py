"""Words that an adapter says to people itself; it knows no catalogue, so its maker translates."""

from collections.abc import Callable

Say = Callable[[str, str | None], str]
"""Our words, for somebody with a locale."""


def as_it_is(words: str, _locale: str | None) -> str:
    """In English, whatever the locale is."""
    return words
