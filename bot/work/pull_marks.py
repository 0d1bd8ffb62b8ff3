"""Marks by which the text of a pull request tells what of it is still ours; pure.

    <!-- ona:what DIGEST -->      a part of ours, as we wrote it while its digest fits
    …
    <!-- /ona:what -->
    <!-- ona:seal TITLE TEXT -->  the title, and the whole text before it

People may write wherever they like. A part whose digest does not fit was edited, and stays as it
is; what stands outside of parts is never touched, unless nobody has touched any of it. Nothing has
to be kept for that: the text tells it by itself, whoever wrote it last.
"""

import hashlib
import re
from collections.abc import Mapping

_PART = re.compile(
    r"<!-- ona:(?P<name>[a-z]+) (?P<digest>[0-9a-f]{16}) -->\n(?P<said>.*?)\n"
    r"<!-- /ona:(?P=name) -->",
    re.DOTALL,
)
_SEAL = re.compile(r"\n<!-- ona:seal (?P<title>[0-9a-f]{16}) (?P<text>[0-9a-f]{16}) -->\s*\Z")


def marked(name: str, said: str) -> str:
    """A part of ours. `said` has no HTML comments."""
    return f"<!-- ona:{name} {_digest(said)} -->\n{said}\n<!-- /ona:{name} -->"


def sealed(text: str, title: str) -> str:
    """A whole text of ours, below a title of ours."""
    whole = text.rstrip()
    return f"{whole}\n\n<!-- ona:seal {_digest(title)} {_digest(whole)} -->\n"


def is_whole(text: str) -> bool:
    """Whether nobody but us wrote anything of it."""
    text = _lines(text)
    seal = _SEAL.search(text)
    return seal is not None and seal["text"] == _digest(text[: seal.start()])


def is_our_title(text: str, title: str) -> bool:
    """Whether the title is as we wrote it, as the text below it tells."""
    seal = _SEAL.search(_lines(text))
    return seal is not None and seal["title"] == _digest(title)


def ours(text: str) -> Mapping[str, str]:
    """The parts that are as we wrote them, by name."""
    found = _PART.finditer(_lines(text))
    return {one["name"]: one["said"] for one in found if one["digest"] == _digest(one["said"])}


def renewed(text: str, parts: Mapping[str, str], title: str | None = None) -> str:
    """The text with other words in those parts of it that are as we wrote them.

    :param title: that it has from now on; None: it stays
    """
    text = _lines(text)
    whole, seal = is_whole(text), _SEAL.search(text)

    def other(found: re.Match[str]) -> str:
        is_ours = found["digest"] == _digest(found["said"])
        said = parts.get(found["name"]) if is_ours else None
        return found[0] if said is None else marked(found["name"], said)

    if seal is None:
        return _PART.sub(other, text)
    written = _PART.sub(other, text[: seal.start()])
    of_text = _digest(written) if whole else seal["text"]
    of_title = seal["title"] if title is None else _digest(title)
    return f"{written}\n<!-- ona:seal {of_title} {of_text} -->\n"


def _lines(text: str) -> str:
    """As we write it: a browser sends other line ends."""
    return text.replace("\r\n", "\n")


def _digest(text: str) -> str:
    # Space at the ends of lines is what forges and editors take away.
    settled = "\n".join(line.rstrip() for line in text.splitlines()).strip()
    return hashlib.sha256(settled.encode()).hexdigest()[:16]
