"""What is left out, in a few lines that people can read."""

import os

NAMES_MAX = 20
GROUP_MIN = 4
NAME_CHARACTERS = 120


def names(left: list[tuple[bytes, str]]) -> list[str]:
    """What is left out in a few lines: many paths of one directory are one line."""
    groups: dict[bytes, list[tuple[bytes, str]]] = {}
    for path, why in sorted(left):
        groups.setdefault(path.split(b"/", 1)[0], []).append((path, why))
    lines = []
    for top, members in groups.items():
        if len(members) >= GROUP_MIN:
            lines.append(f"{printable(top)}/ ({len(members)} files, {members[0][1]})")
        else:
            lines += [f"{printable(path)} ({why})" for path, why in members]
    return capped(lines)


def capped(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = len(lines) - NAMES_MAX
    return lines if more <= 0 else [*lines[:NAMES_MAX], f"and {more} more"]


def printable(path: bytes) -> str:
    """A path on one line, bounded, whatever bytes it has."""
    text = path.decode("utf-8", "backslashreplace")
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
    return shown if len(shown) <= NAME_CHARACTERS else shown[:NAME_CHARACTERS] + "…"


def short(ref: str) -> str:
    """A branch as people name it."""
    return printable(os.fsencode(ref.removeprefix("refs/heads/")))
