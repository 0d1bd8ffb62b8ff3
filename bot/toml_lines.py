"""On which line of a TOML document each key and each entry of a list stands. Pure."""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Of a key in a document: names, and places in lists."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|#[^\n]*|[^\s\[\]{}=,\"'#]+|[\[\]{}=,\n]",
    re.DOTALL,
)


def lines_of(source: str) -> Mapping[Path, int]:
    """The line of every key and every entry of a list in a TOML document that can be read."""
    return _Places(source).found


class _Places:
    """Walks a document that is known to be TOML."""

    def __init__(self, source: str) -> None:
        self.found: dict[Path, int] = {}
        self._tokens: list[tuple[str, int]] = []
        line, at = 1, 0
        for match in _TOKEN.finditer(source):
            line += source.count("\n", at, match.start())
            at = match.start()
            if not match[0].startswith("#"):
                self._tokens.append((match[0], line))
        self._at = 0
        self._document()

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _take(self) -> tuple[str, int]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, *tokens: str) -> None:
        while self._peek() in tokens and self._peek():
            self._take()

    def _document(self) -> None:
        table: Path = ()
        self._skip("\n")
        while self._peek():
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip("\n")

    def _header(self) -> Path:
        _, line = self._take()
        is_list = self._peek() == "["
        self._skip("[")
        path = self._keys("]")
        self._skip("]")
        if is_list:
            place = 0
            while (*path, place) in self.found:
                place += 1
            path = (*path, place)
        self.found.setdefault(path, line)
        return path

    def _keys(self, end: str) -> Path:
        """A dotted key up to `end`."""
        parts: list[str] = []
        while self._peek() != end:
            token, _ = self._take()
            quoted = token[0] in "\"'"
            parts.extend([token[1:-1]] if quoted else [one for one in token.split(".") if one])
        return tuple(parts)

    def _pair(self, table: Path) -> None:
        line = self._tokens[self._at][1]
        path = (*table, *self._keys("="))
        self._take()
        self.found[path] = line
        self._value(path)

    def _value(self, path: Path) -> None:
        token, line = self._take()
        self.found.setdefault(path, line)
        if token == "[":
            self._skip("\n", ",")
            place = 0
            while self._peek() != "]":
                self._value((*path, place))
                self._skip("\n", ",")
                place += 1
            self._take()
        elif token == "{":
            self._skip("\n", ",")
            while self._peek() != "}":
                self._pair(path)
                self._skip("\n", ",")
            self._take()
        else:
            while self._peek() not in {"\n", ",", "]", "}", ""}:
                self._take()
