"""Markdown that an agent wrote, as a surface shows it; pure.

Its structure is read by a parser of CommonMark, and written anew in the surface's own dialect with
every word escaped: what has no meaning in Markdown gets none, whatever the surface makes of it.
HTML is text, a picture is a link, a link that reads like another address shows where it leads.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from adapters.chat.dialect import Dialect

Escape = Callable[[str], str]
Write = Callable[[SyntaxTreeNode], str]

CELL_LENGTH_MAX = 60
"""Of a table, which is shown in columns."""
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
_ADDRESS = re.compile(r"https?://|^www\.|^[\w-]+(\.[\w-]+)+(/|$)", re.IGNORECASE)
_SCHEMES = frozenset({"http", "https", "mailto"})
_CODE = frozenset({"fence", "code_block"})


def code_lines(text: str) -> Sequence[tuple[int, int, str]]:
    """The blocks of code that stand by themselves: first line, line after the last, content."""
    return [
        (token.map[0], token.map[1], token.content)
        for token in _MARKDOWN.parse(text)
        if token.type in _CODE and token.level == 0 and token.map
    ]


def written(text: str, dialect: Dialect, escape: Escape) -> str:
    """`text` in the dialect of a surface."""
    return _Writer(dialect, escape).blocks(SyntaxTreeNode(_MARKDOWN.parse(text)))


class _Writer:
    def __init__(self, dialect: Dialect, escape: Escape) -> None:
        self._dialect = dialect
        self._escape = escape
        self._blocks: Mapping[str, Write] = {
            "paragraph": self._inline,
            "inline": self._inline,
            "heading": self._heading,
            "bullet_list": self._list,
            "ordered_list": self._list,
            "blockquote": lambda node: dialect.quote(self.blocks(node)),
            "fence": lambda node: self._code(node.content),
            "code_block": lambda node: self._code(node.content),
            "table": self._table,
            "hr": lambda _: "———",
        }
        self._parts: Mapping[str, Write] = {
            "inline": self._inline,
            "strong": self._styled(dialect.strong),
            "em": self._styled(dialect.emphasis),
            "s": self._styled(dialect.struck),
            "code_inline": self._code_part,
            "link": lambda node: self._link(node, str(node.attrs.get("href", ""))),
            "image": lambda node: self._link(node, str(node.attrs.get("src", ""))),
            "softbreak": lambda _: "\n",
            "hardbreak": lambda _: "\n",
        }

    def blocks(self, parent: SyntaxTreeNode) -> str:
        """Blocks one below the other; those of a tight list without a line between them."""
        made = [self._block(child) for child in parent.children]
        tight = parent.type == "list_item" and all(
            child.hidden or child.type != "paragraph" for child in parent.children
        )
        return ("\n" if tight else "\n\n").join(one for one in made if one)

    def _block(self, node: SyntaxTreeNode) -> str:
        write = self._blocks.get(node.type)
        return write(node) if write is not None else self._escape(node.content)

    def _heading(self, node: SyntaxTreeNode) -> str:
        line = self._inline(node).replace("\n", " ")
        return self._dialect.heading(line, int(node.tag[1:]))

    def _table(self, node: SyntaxTreeNode) -> str:
        return self._code("\n".join(_columns([list(row) for row in _rows(node)])))

    def _code(self, text: str) -> str:
        lines = text.rstrip("\n").split("\n")
        return "\n".join(self._dialect.code(line) if line.strip() else "" for line in lines)

    def _list(self, node: SyntaxTreeNode) -> str:
        start = int(node.attrs.get("start", 1))
        ordered = node.type == "ordered_list"
        return "\n".join(
            self._dialect.item(f"{start + number}." if ordered else "", self.blocks(item))
            for number, item in enumerate(node.children)
        )

    def _inline(self, node: SyntaxTreeNode) -> str:
        if node.children:
            return "".join(self._inline_part(child) for child in node.children)
        return self._escape(node.content)

    def _inline_part(self, node: SyntaxTreeNode) -> str:
        write = self._parts.get(node.type)
        return write(node) if write is not None else self._escape(node.content)

    def _styled(self, style: Callable[[str], str]) -> "Write":
        return lambda node: _around(self._inline(node), style)

    def _code_part(self, node: SyntaxTreeNode) -> str:
        return self._dialect.code(node.content) if node.content.strip() else ""

    def _link(self, node: SyntaxTreeNode, url: str) -> str:
        said = _text(node)
        if urlsplit(url).scheme.lower() not in _SCHEMES or any(sign in url for sign in "<>\n "):
            # Nobody knows what it leads to: both are shown.
            return self._escape(said if url in {"", said} else f"{said} ({url})")
        if not said.strip() or (_ADDRESS.search(said.strip()) and said.strip() != url):
            said = url
        return self._dialect.link(self._escape(" ".join(said.split())), url)


def _around(inner: str, write: Callable[[str], str]) -> str:
    """Emphasis begins and ends with a word, else surfaces show its signs."""
    core = inner.strip()
    if not core or "\n" in core:
        return inner
    before, _, after = inner.partition(core)
    return f"{before}{write(core)}{after}"


def _text(node: SyntaxTreeNode) -> str:
    """What is said in a part of a line, without its structure."""
    if node.children:
        return "".join(_text(child) for child in node.children)
    return "\n" if node.type in {"softbreak", "hardbreak"} else node.content


def _rows(table: SyntaxTreeNode) -> Iterator[Iterator[str]]:
    for part in table.children:
        for row in part.children:
            yield (" ".join(_text(cell).split())[:CELL_LENGTH_MAX] for cell in row.children)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in letters of one width, a line below its head."""
    widths: Mapping[int, int] = {
        place: max(len(row[place]) for row in rows if place < len(row))
        for place in range(max(len(row) for row in rows))
    }
    for number, row in enumerate(rows):
        cells = [cell.ljust(widths[place]) for place, cell in enumerate(row)]
        yield " | ".join(cells).rstrip()
        if number == 0:
            yield "-+-".join("-" * widths[place] for place in widths)
