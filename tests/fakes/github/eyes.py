"""What people see of Markdown in a comment; white space is left as it was written."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

WORD_JOINER = "\u2060"
_MENTION = re.compile(r"(?<![\w/`])@[A-Za-z0-9][\w-]*")
_BLOCKS = frozenset({"fence", "code_block"})
_BREAKS = frozenset({"softbreak", "hardbreak"})


def shown(body: str) -> str:
    """The text as it is read, a line where the lines of its source were."""
    return "\n".join(_lines(body)).strip("\n").replace(WORD_JOINER, "")


def mentions(body: str) -> list[str]:
    """The logins that are notified."""
    found = []
    for token in _parsed(body):
        if token.type == "inline":
            prose = [one.content for one in token.children or () if one.type == "text"]
            found += _MENTION.findall("\n".join(prose))
    return [mention.removeprefix("@") for mention in found]


def _parsed(body: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("strikethrough").parse(body)


def _lines(body: str) -> list[str]:
    source = body.split("\n")
    lines = [""] * len(source)
    for token in _parsed(body):
        if token.map is None:
            continue
        first = token.map[0]
        if token.type == "inline":
            for number, line in enumerate(_inline(token), first):
                indent = source[number][: len(source[number]) - len(source[number].lstrip())]
                lines[number] = indent + line
        elif token.type in _BLOCKS:
            begins = first + (token.type == "fence")
            for number, line in enumerate(token.content.rstrip("\n").split("\n"), begins):
                lines[number] = line
    return lines


def _inline(token: Token) -> list[str]:
    lines = [""]
    for child in token.children or ():
        if child.type in _BREAKS:
            lines.append("")
        elif child.type != "html_inline":
            lines[-1] += child.content
    return lines
