"""What a comment on a forge asks of us; pure.

    Looks wrong to me.          said to other people
    /ona fix the flaky test     ┐ the request: from the first line that begins with our name
    See https://…               ┘ to the end, without what readers don't see

The line has to stand in a paragraph of its own right: what is quoted, shown as code, hidden in an
HTML comment or part of a list is what somebody talks about. So is our name behind a backslash or
with an entity in it. What stands between two lines `>>>` is quoted on GitLab; it asks nothing on
GitHub either.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

REVIEW_LENGTH_MAX = 30_000
"""Characters of a review that are asked of us."""
LOOKED_AT_MAX = 200_000
"""Characters in which the first line of a request is looked for."""

_BREAKS = frozenset({"softbreak", "hardbreak"})
_CODE = frozenset({"fence", "code_block"})
_QUOTE = re.compile(r" {0,3}(>{3,})[ \t]*")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_KEPT = re.compile(r"\x00(\d+)")
"""Stands for a line of code, in which nothing is hidden."""
_AFTER = r"(?=$|[\s:,])[:,]?"


def cut(review: str) -> str:
    """What of a review is asked of us: its beginning, where it is longer than may be."""
    whole = len(review) <= REVIEW_LENGTH_MAX
    return review if whole else f"{review[:REVIEW_LENGTH_MAX]}…"


def asked(body: str, names: Sequence[str]) -> str | None:
    """The request in a comment; None: nobody asks us. Empty: our name alone.

    :param names: what we are called, such as `/ona` and `@ona-for-acme`; letter case aside
    """
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    called = re.compile("(?:" + "|".join(map(re.escape, names)) + ")" + _AFTER, re.IGNORECASE)
    candidates = re.compile(rf"^ {{0,3}}{called.pattern}", re.IGNORECASE | re.MULTILINE)
    head = body[:LOOKED_AT_MAX]
    if candidates.search(head) is None:
        return None
    tokens, lines = MarkdownIt("commonmark").parse(head), head.split("\n")
    quoted = _quoted(lines, tokens)
    for number, line in _paragraph_lines(tokens):
        if called.match(line) and candidates.match(lines[number]) and number not in quoted:
            return _request(body, number, called)
    return None


def _quoted(lines: Sequence[str], tokens: Sequence[Token]) -> set[int]:
    """The numbers of the lines between two of `>>>`, or behind one that is alone."""
    code: set[int] = set()
    for token in tokens:
        if token.type in _CODE and token.map is not None:
            code.update(range(*token.map))
    quoted, opened, before = set[int](), 0, ""
    for number, line in enumerate(lines):
        found = None if number in code else _QUOTE.fullmatch(line)
        signs = len(found[1]) if found else 0
        if opened and signs >= opened:
            opened = 0
        elif opened:
            quoted.add(number)
        elif not before.lstrip().startswith(">"):
            # Else it is an empty line of what is quoted line by line.
            opened = signs
        before = line
    return quoted


def _paragraph_lines(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Number and beginning of each line of a paragraph that stands in nothing else."""
    for before, token in pairwise(tokens):
        if before.type != "paragraph_open" or before.level > 0 or token.map is None:
            continue
        number, begins = token.map[0], True
        for child in token.children or ():
            if begins and child.type == "text":
                yield number, child.content
            begins = child.type in _BREAKS
            number += child.content.count("\n") + begins


def _request(body: str, number: int, called: re.Pattern[str]) -> str:
    """The lines from line `number` on, our name and hidden comments left out."""
    lines = body.replace("\x00", "\ufffd").split("\n")[number:]
    lines[0] = called.sub("", lines[0].lstrip(), count=1)
    if not any("<!--" in line for line in lines):
        return "\n".join(lines).strip()
    prose = lines[:]
    for token in MarkdownIt("commonmark").parse("\n".join(lines)[:LOOKED_AT_MAX]):
        if token.type in _CODE and token.map is not None:
            for at in range(*token.map):
                prose[at] = f"\x00{at}"
    shown = _HIDDEN.sub("", "\n".join(prose))
    return _KEPT.sub(lambda found: lines[int(found[1])], shown).strip()
