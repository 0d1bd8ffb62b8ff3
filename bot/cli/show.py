"""Shows things: as a table for people, as JSON for programs."""

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from bot.cli.typed import typed
from bot.words.plain import plain

LAST_COLUMN_MIN = 16
"""With less room than that, a terminal breaks the lines itself."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def as_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def say(words: str) -> None:
    """Say what was done."""
    typer.echo(plain(words))


def told(answer: Mapping[str, Any]) -> None:
    """Say what the service says of what it did."""
    say(typed(answer["text"]))


def status(words: str) -> None:
    """Say on stderr how it goes, so that stdout carries only what was asked for."""
    text = plain(words)
    typer.echo(typer.style(text, dim=True) if sys.stderr.isatty() else text, err=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> None:
    """Print rows under headings; `columns` are headings by key.

    On a terminal that is too narrow for it, the last column goes on in more lines.
    """
    if not rows:
        typer.echo(empty, err=True)
        return
    cells = [[cell(row.get(key)) for key in columns] for row in rows]
    head = [name.upper() for name in columns.values()]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    for line in [head, *cells]:
        padded = [part.ljust(width) for part, width in zip(line, widths, strict=True)]
        typer.echo("\n".join(_wrapped("  ".join(padded[:-1]) + "  ", line[-1])))


def _wrapped(before: str, last: str) -> list[str]:
    """The lines of a row whose last cell may be too wide."""
    room = get_terminal_size().columns - len(before) if sys.stdout.isatty() else 0
    if room < LAST_COLUMN_MIN or len(last) <= room:
        return [f"{before}{last}".rstrip()]
    first, *more = textwrap.wrap(last, room)
    return [f"{before}{first}", *(" " * len(before) + one for one in more)]


def record(row: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Print one thing, a line for each of its facts that is known."""
    width = max(len(name) for name in names.values())
    for key, name in names.items():
        if row.get(key) not in (None, "", []):
            typer.echo(f"{name.ljust(width)}  {cell(row[key])}")


def cell(value: Any) -> str:
    """A value in one line; times in the reader's zone."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(cell(one) for one in value) or "-"
    text = str(value)
    if len(text) >= 20 and text[4:5] == "-" and text[10:11] == "T":
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return at.replace(tzinfo=at.tzinfo or UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    return " ".join(plain(text).split())
