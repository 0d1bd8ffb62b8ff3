"""Tables for spreadsheets: CSV in which no cell is a formula; pure."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for one, or pass over in front of one; also in its full-width form."""


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows under a line of headings, as RFC 4180 has it."""
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return made.getvalue()


def cell(value: object) -> str:
    """A value; words that would be a formula have an apostrophe before them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(round(value, 6))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    words = str(value).replace("\x00", "\ufffd")
    return f"'{words}" if words.lstrip(" ").startswith(_FORMULA) else words
