"""Reads what git says of differences; pure.

git diff --numstat -z        <added> TAB <removed> TAB <path> NUL      `-` for both: a binary file
git log -p -U0               +++ b/<path>, @@ -1,2 +3,4 @@, lines that begin with + or -
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.work.delivering import ChangedFile

_HUNK = re.compile(r"@@ -\d+(?:,(?P<removed>\d+))? \+(?P<line>\d+)(?:,(?P<added>\d+))? @@")


@dataclass(frozen=True, kw_only=True)
class AddedLine:
    """A line that a commit adds."""

    path: str
    number: int
    """In the file as that commit has it."""
    text: str


def changed_files(said: bytes) -> Sequence[ChangedFile]:
    """The files of a `--numstat -z` without renames."""
    found = []
    for record in said.split(b"\0"):
        parts = record.split(b"\t", 2)
        if len(parts) == 3:
            added, removed, path = parts
            found.append(
                ChangedFile(
                    path=path.decode("utf-8", "replace"),
                    insertions=_count(added),
                    deletions=_count(removed),
                )
            )
    return found


def _count(said: bytes) -> int:
    return int(said) if said.isdigit() else 0


def added_lines(said: str) -> Iterator[AddedLine]:
    """The lines that patches without context add, with where they stand.

    What a line says is only looked at where a hunk has announced lines, so that a line which
    looks like a header is none.
    """
    path, number, removed, added = "", 0, 0, 0
    # One by one: of millions of short lines a list would take a hundred times their room.
    for ended in io.StringIO(said, newline="\n"):
        line = ended.removesuffix("\n")
        if added > 0 and line.startswith("+"):
            yield AddedLine(path=path, number=number, text=line[1:])
            number, added = number + 1, added - 1
        elif removed > 0 and line.startswith("-"):
            removed -= 1
        elif line.startswith("+++ "):
            path = line[4:].removeprefix("b/").rstrip("\t")
        elif found := _HUNK.match(line):
            number = int(found["line"])
            removed, added = (int(found[name] or 1) for name in ("removed", "added"))
