"""The lines of what a check or a test wrote in which people see why it failed; pure."""

import re
from collections.abc import Callable

from bot.words.plain import settled

LINES_MAX = 15
CHARACTERS_MAX = 1_500
LINE_CHARACTERS_MAX = 300
LEFT_OUT = "…"
"""Between lines that do not follow each other, and at the end of one that is cut."""
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ")
"""What GitHub puts before each line of a log."""
_TELLS = re.compile(
    r"\b(?:FAIL(?:ED|URE)?|ERRORS?|Error|error|assert(?:ion)?|panic(?:ked)?|Traceback|fatal)\b"
    r"|\w(?:Error|Exception)\b|^E  |^not ok\b|^\s*[✗✕×]\s"
)


def failing_lines(
    said: str,
    *,
    lines_max: int = LINES_MAX,
    characters_max: int = CHARACTERS_MAX,
    is_secret: Callable[[str], bool] = lambda line: False,
) -> str:
    """The last lines that look like a failure, each with those beside it; else the last ones.

    :param is_secret: of the lines that are chosen, those for which it holds are left out
    """
    lines = [_STAMP.sub("", line).rstrip() for line in settled(said).split("\n")]
    lines = [line for line in lines if line]
    shown: list[str] = []
    before: int | None = None
    for index in reversed(_chosen(lines, lines_max)):
        line = LEFT_OUT if is_secret(lines[index]) else _cut(lines[index])
        gap = [LEFT_OUT] if before is not None and before - index > 1 else []
        if len("\n".join([line, *gap, *shown])) > characters_max:
            break
        shown = [line, *gap, *shown]
        before = index
    return "\n".join(shown)


def _chosen(lines: list[str], lines_max: int) -> list[int]:
    """Their numbers, in order; gaps take a line too."""
    chosen: set[int] = set()
    for index in reversed([n for n, line in enumerate(lines) if _TELLS.search(line)]):
        more = chosen | {n for n in (index - 1, index, index + 1) if 0 <= n < len(lines)}
        gaps = sum(n + 1 not in more for n in more) - 1
        if len(more) + gaps > lines_max:
            break
        chosen = more
    return sorted(chosen or range(max(0, len(lines) - lines_max), len(lines)))


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARACTERS_MAX else line[:LINE_CHARACTERS_MAX] + LEFT_OUT
