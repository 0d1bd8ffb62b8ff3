"""Tables for spreadsheets: CSV in which no cell is a formula; pure."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for one, or pass over in front of one; also in its full-width form."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What a terminal obeys that shows the table, and spreadsheets don't take."""


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows under a line of headings, as RFC 4180 has it."""
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return made.getvalue()


def cell(value: object) -> str:
    """A value; words that would be a formula have an apostrophe before them.

    Controls but for tabs and the ends of lines are shown as signs that could not be read.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(round(value, 6))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    words = _CONTROL.sub("\ufffd", str(value))
    return f"'{words}" if words.lstrip(" ").startswith(_FORMULA) else words
