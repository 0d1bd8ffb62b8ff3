"""How a surface writes emphasis, links and lists, in texts that are escaped but for these; pure."""

import re
from dataclasses import dataclass
from typing import Protocol

_RUN = re.compile(r"`+")


class Dialect(Protocol):
    """What a surface has for each; `inner` is escaped, and may be written in the dialect itself."""

    def strong(self, inner: str) -> str:
        """Bold."""
        ...

    def emphasis(self, inner: str) -> str:
        """Italic."""
        ...

    def struck(self, inner: str) -> str:
        """Struck out."""
        ...

    def code(self, text: str) -> str:
        """Code within a line.

        :param text: one line, not escaped
        """
        ...

    def link(self, inner: str, url: str) -> str:
        """A link.

        :param url: of http, https or mailto; without spaces and angle brackets
        """
        ...

    def heading(self, inner: str, level: int) -> str:
        """A heading of level 1 to 6, on a line."""
        ...

    def item(self, marker: str, inner: str) -> str:
        """An item of a list.

        :param marker: empty, or its number with a dot
        """
        ...

    def quote(self, inner: str) -> str:
        """Somebody's words, on lines."""
        ...


@dataclass(frozen=True, kw_only=True)
class Markdown:
    """That of surfaces which read CommonMark."""

    heading_level_max: int = 6
    """Deeper ones are bold lines."""

    def strong(self, inner: str) -> str:
        """See `Dialect`."""
        return f"**{inner}**"

    def emphasis(self, inner: str) -> str:
        """See `Dialect`."""
        return f"*{inner}*"

    def struck(self, inner: str) -> str:
        """See `Dialect`."""
        return f"~~{inner}~~"

    def code(self, text: str) -> str:
        """See `Dialect`; its fence is longer than any run in it."""
        fence = "`" * (max((len(run) for run in _RUN.findall(text)), default=0) + 1)
        # A line that begins with three would open a block; the space is not shown.
        room = " " if "`" in text or len(fence) > 1 else ""
        return f"{fence}{room}{text}{room}{fence}"

    def link(self, inner: str, url: str) -> str:
        """See `Dialect`."""
        return f"[{inner}](<{url}>)"

    def heading(self, inner: str, level: int) -> str:
        """See `Dialect`."""
        return self.strong(inner) if level > self.heading_level_max else f"{'#' * level} {inner}"

    def item(self, marker: str, inner: str) -> str:
        """See `Dialect`."""
        sign = marker or "-"
        first, *more = inner.split("\n")
        indent = " " * (len(sign) + 1)
        return "\n".join([f"{sign} {first}", *(f"{indent}{line}" if line else "" for line in more)])

    def quote(self, inner: str) -> str:
        """See `Dialect`."""
        return "\n".join(f"> {line}" for line in inner.split("\n"))
