"""The examples of a page of docs/: what its blocks say, in order, and ids that stand for others.

- `sh` blocks hold commands, a line each unless it ends with a backslash;
- `text` blocks hold messages, a line each.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(r"\b(?:r|a|run|s)-[0-9a-z]{4,}\b")


def blocks(page: str, language: str) -> Iterator[str]:
    """The blocks of a page in this language."""
    for block in _BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")):
        if block[1] == language:
            yield block[2]


def commands(page: str) -> list[list[str]]:
    """The words of each `ona` command, without `ona`."""
    lines = [line for block in blocks(page, "sh") for line in _joined(block).splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("ona ")]


def messages(page: str) -> list[str]:
    """What is said in conversations."""
    return [line for block in blocks(page, "text") for line in block.splitlines() if line]


class Ids:
    """The ids of a page are examples: each stands for the one of its kind that was made last."""

    def __init__(self, made: Mapping[str, str] | None = None) -> None:
        """`made`: ids by the letters in front of their dash."""
        self._made = dict(made or {})

    def heard(self, told: str) -> None:
        """Somebody was told of ids: the last of each kind counts."""
        self._made |= {one.partition("-")[0]: one for one in ID.findall(told)}

    def put(self, words: str) -> str:
        """The words with the ids that there are."""
        return ID.sub(lambda one: self._made.get(one[0].partition("-")[0], one[0]), words)


def _joined(block: str) -> str:
    return block.replace("\\\n", " ")
