"""How Discord's clients show a text: its markup, mentions, emojis and times.

Where clients differ, or where it is not known, this takes something for markup rather than not:
a text that shows as it is here does so there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

PUNCTUATION = r"[^A-Za-z0-9\s]"
SPANS = (
    ("bold italic", r"\*\*\*(?=\S)(.+?)\*\*\*(?!\*)"),
    ("bold", r"\*\*(?=\S)(.+?)\*\*(?!\*)"),
    ("underline", r"__(?=\S)(.+?)__(?!_)"),
    ("strike", r"~~(?=\S)(.+?)~~(?!_)"),
    ("spoiler", r"\|\|(.+?)\|\|"),
    ("italic", r"\*(?=\S)((?:\*\*|[^*])+?)(?<=\S)\*(?!\*)"),
    ("italic", r"(?<![A-Za-z0-9_])_((?:__|[^_])+?)_(?![A-Za-z0-9_])"),
)
POINTED = (
    ("user", r"<@!?(\d+)>"),
    ("role", r"<@&(\d+)>"),
    ("channel", r"<#(\d+)>"),
    ("command", r"</([^:<>\n]+:\d+)>"),
    ("emoji", r"<a?:(\w{2,32}):\d+>"),
    ("time", r"<t:(-?\d{1,17}(?::[tTdDfFRsS])?)>"),
    ("navigation", r"<id:([\w:-]+)>"),
    ("link", r"<(https?://[^\s>]+)>"),
)
LINES = (
    ("header", r"#{1,3} +(?=\S)"),
    ("small", r"-# +(?=\S)"),
    ("quote", r">(?:>>)? "),
    ("list", r" *[-*] +(?=\S)"),
    ("list", r" *\d{1,10}\. +(?=\S)"),
)
MASKED = r"\[((?:\\.|[^\]\\\n])+)\]\(\s*<?(https?://[^\s>)]+)>?(?:\s+\"[^\"]*\")?\s*\)"
BARE = r"https?://[^\s<]+[^<.,:;\"'\]\s)]"
CALL = r"@(?:everyone|here)\b"
EMOJI_NAME = r":(\d{3,4}|[a-z0-9_+-]*[a-z][a-z0-9_+-]*):"
"""Any name counts, as there is no list of the names that there are."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A text as people read it, and what in it is more than text."""

    text: str
    blocks: tuple[str, ...] = ()
    """The contents of code blocks."""
    codes: tuple[str, ...] = ()
    spans: tuple[tuple[str, str], ...] = ()
    """What is bold, italic, underlined, struck or a spoiler: kind and text."""
    lines: tuple[tuple[str, str], ...] = ()
    """What is a header, small, a quote or a list: kind and text."""
    links: tuple[tuple[str, str], ...] = ()
    """Words and where they lead."""
    pointed: tuple[tuple[str, str], ...] = ()
    """Mentions, emojis, times: kind and what they name."""

    @property
    def plain(self) -> bool:
        """Whether it shows as it is: no markup, no link, nobody mentioned."""
        return not (self.blocks or self.codes or self.spans or self.lines) and not (
            self.links or self.pointed
        )


@dataclass
class _Reader:
    """Reads a text and keeps what it finds; what was read is held apart as one character."""

    held: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    spans: list[tuple[str, str]] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    pointed: list[tuple[str, str]] = field(default_factory=list)

    def hold(self, text: str) -> str:
        """A character of the private area that stands for `text` from here on."""
        self.held.append(text)
        return chr(0xF0000 + len(self.held) - 1)

    def free(self, text: str) -> str:
        while re.search(r"[\U000F0000-\U000FFFFD]", text):
            text = re.sub(
                r"[\U000F0000-\U000FFFFD]", lambda found: self.held[ord(found[0]) - 0xF0000], text
            )
        return text

    def code(self, text: str) -> str:
        """Backslashes, code blocks and inline code, from left to right."""
        tokens = (
            rf"\\(?P<escaped>{PUNCTUATION})"
            r"|```(?:(?P<language>[A-Za-z0-9_+\-.#]+)\n)?\n*(?P<block>[\s\S]+?)\n*```"
            r"|(?P<ticks>`+)(?P<code>[\s\S]*?[^`])(?P=ticks)(?!`)"
        )
        return re.sub(tokens, self._code, text)

    def _code(self, found: re.Match[str]) -> str:
        if found["escaped"]:
            return self.hold(found["escaped"])
        if found["block"] is not None:
            self.blocks.append(found["block"])
            return self.hold(found["block"])
        code = found["code"]
        code = code[1:-1] if re.fullmatch(r" `[\s\S]*` ", code) else code
        self.codes.append(code)
        return self.hold(code)

    def point(self, text: str) -> str:
        """What stands in angle brackets, links, calls and names of emojis."""
        text = re.sub(MASKED, self._masked, text)
        for kind, pattern in POINTED:
            text = re.sub(pattern, self._pointer(kind), text)
        text = re.sub(BARE, self._bare, text)
        text = re.sub(CALL, self._pointer("call"), text)
        return re.sub(EMOJI_NAME, self._pointer("emoji"), text)

    def _masked(self, found: re.Match[str]) -> str:
        self.links.append((self.free(found[1]), self.free(found[2])))
        return self.hold(found[1])

    def _bare(self, found: re.Match[str]) -> str:
        where = self.free(found[0])
        self.links.append((where, where))
        return self.hold(found[0])

    def _pointer(self, kind: str) -> Callable[[re.Match[str]], str]:
        def found_one(found: re.Match[str]) -> str:
            name = found[1] if found.re.groups else found[0]
            if kind == "link":
                self.links.append((name, name))
            else:
                self.pointed.append((kind, name))
            return self.hold(name if kind == "link" else found[0])

        return found_one

    def line(self, text: str) -> str:
        """The beginning of a line: headers, small text, quotes, lists; one may hold another."""
        for kind, pattern in LINES:
            found = re.match(pattern, text)
            if found:
                rest = self.line(text[found.end() :])
                self.lines.append((kind, self.free(rest)))
                return rest if kind != "list" else f"• {rest}"
        return text

    def span(self, text: str) -> str:
        """Pairs of signs around words, which may hold one another and go over lines."""
        for kind, pattern in SPANS:
            text = re.sub(pattern, self._spanner(kind), text, flags=re.DOTALL)
        return text

    def _spanner(self, kind: str) -> Callable[[re.Match[str]], str]:
        def found_one(found: re.Match[str]) -> str:
            inner = self.span(found[1])
            self.spans.append((kind, self.free(inner)))
            return self.hold(inner)

        return found_one


def shown(text: str) -> Shown:
    """Read a text as clients do."""
    reader = _Reader()
    rest = reader.point(reader.code(text))
    rest = "\n".join(reader.line(line) for line in rest.split("\n"))
    rest = reader.free(reader.span(rest))
    return Shown(
        text=rest,
        blocks=tuple(reader.blocks),
        codes=tuple(reader.codes),
        spans=tuple(reader.spans),
        lines=tuple(reader.lines),
        links=tuple(reader.links),
        pointed=tuple(reader.pointed),
    )
