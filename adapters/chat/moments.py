"""Moments in a text, for surfaces that show each reader their own zone; pure.

What says `2026-01-31 12:30 UTC`, by whomever, is one; surfaces have a token for it.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

_WRITTEN = r"(?<![\w-])(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d) UTC(?!\w)"
WRITTEN = re.compile(_WRITTEN)
ESCAPED = re.compile(_WRITTEN.replace("-(", r"\\?-(").replace(":", r"\\:"))
"""The same behind the backslashes of Discord's Markdown, which code has none of."""


def seconds_of(found: re.Match[str]) -> int | None:
    """Seconds since 1970 of a moment that was found; None: there is no such day or hour."""
    try:
        year, month, day, hour, minute = map(int, found.groups())
        return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())
    except ValueError:
        return None


def with_tokens(text: str, token: Callable[[int, str], str], written: re.Pattern[str]) -> str:
    """`text` with `token` of its seconds and its words in the place of each moment."""

    def shown(found: re.Match[str]) -> str:
        at = seconds_of(found)
        return found.group() if at is None else token(at, found.group())

    return written.sub(shown, text)
