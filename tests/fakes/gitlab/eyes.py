"""How people see a note: its Markdown, without what is invisible.

Every block but paragraphs and code blocks, and every inline mark, shows up as its kind in brackets,
so that a text that shows as it is here is nothing but text. Blank lines and indents are those of
the source. GitLab looks for mentions in the text that is shown, outside of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

INVISIBLE = str.maketrans("", "", "\u2060\u200b")
_MENTION = re.compile(r"(?<![\w/.@-])@([A-Za-z0-9_][\w.-]*)")
_TEXT = frozenset({"text", "text_special"})
_BREAKS = frozenset({"softbreak", "hardbreak"})


def shown(body: str) -> str:
    """What people read."""
    source = body.split("\n")
    lines = [""] * len(source)
    for token in _blocks(body):
        if token.type == "inline" and token.map is not None:
            text = _inline(token.children or ()).split("\n")
            for at, line in enumerate(text, token.map[0]):
                indent = len(source[at]) - len(source[at].lstrip(" "))
                lines[at] += " " * indent + line
        elif token.type == "fence" and token.map is not None:
            for at, line in enumerate(token.content.split("\n"), token.map[0] + 1):
                if at < len(lines):
                    lines[at] = line
        elif token.map is not None and not token.content.startswith("<!--"):
            lines[token.map[0]] += f"[{token.type}]"
    return "\n".join(lines).translate(INVISIBLE).strip("\n")


def mentioned(body: str) -> list[str]:
    """The names that a note mentions; not everybody is somebody."""
    found: list[str] = []
    for token in MarkdownIt("commonmark").enable("strikethrough").parse(body):
        if token.type == "inline":
            words = "".join(
                one.content if one.type in _TEXT else "\n" for one in token.children or ()
            )
            found += [name.rstrip(".-") for name in _MENTION.findall(words)]
    return found


def _blocks(body: str) -> Iterable[Token]:
    for token in MarkdownIt("commonmark").enable("strikethrough").parse(body):
        if token.type != "paragraph_open" and token.nesting >= 0:
            yield token


def _inline(children: Iterable[Token]) -> str:
    words = []
    for one in children:
        if one.type in _TEXT:
            words.append(one.content)
        elif one.type in _BREAKS:
            words.append("\n")
        elif not (one.type == "html_inline" and one.content.startswith("<!--")):
            words.append(f"[{one.type}]{one.content}")
    return "".join(words)
