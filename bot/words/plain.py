"""Output of programs as plain text: no escape sequence, no control character gets through.

A page shows colours by nothing, and a terminal that obeyed an agent's output could be made to
retitle itself, move its cursor over what was said before, or write to the clipboard.

`plain`, `Plain`: what is said while it goes on; a line that is overwritten stays as one of its own.
`settled`: what stands there in the end, for messages: overwritten lines and hidden characters go.
"""

import re

_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC, DCS and other strings
    r"|\x1b[ -/]+[0-~]"  # character sets
    r"|\x1b[0-Z\\^-~]"  # two characters
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_BEGUN = re.compile(
    r"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*\x1b?|[ -/]*)?|\x9b[0-?]*[ -/]*)\Z"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_OVERWRITTEN = re.compile(r"\r(?:[^\r\n]+\r)+(?![\r\n])")
"""What a progress bar showed and replaced, as far as both came in one piece."""
_HIDDEN = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""What turns the direction of writing around or can't be seen."""
_UNENDED = re.compile(r"\x1b\][^\x07\x1b\n]*")
_RETURN = re.compile(r"\r+\n?")
TAIL_LENGTH_MAX = 4096
"""An unfinished sequence longer than this is no sequence."""


def plain(text: str) -> str:
    """`text` without escape sequences and control characters.

    A lone CR begins a new line; of what was overwritten again and again only the last state stays.
    """
    return _clean(text)


def settled(text: str) -> str:
    """`text` as a terminal would leave it: no colours, no overwritten lines, nothing hidden."""
    text = _UNENDED.sub("", _SEQUENCE.sub("", text.replace("\r\n", "\n")))
    text = text.replace("\u2028", "\n").replace("\u2029", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    shown = _HIDDEN.sub("", _CONTROL.sub("", "\n".join(lines)))
    return shown.encode("utf-8", "replace").decode("utf-8")


class Plain:
    """The same for text that comes in pieces, which may end in the middle of a sequence."""

    def __init__(self) -> None:
        """Begin at a boundary."""
        self._tail = ""

    def feed(self, text: str) -> str:
        """The plain text of the next piece; an unfinished sequence waits for the one after."""
        text = self._tail + text
        self._tail = ""
        begun = _BEGUN.search(text, max(0, len(text) - TAIL_LENGTH_MAX))
        if begun is not None and begun.group():
            text, self._tail = text[: begun.start()], begun.group()
        elif text.endswith("\r"):
            # It may be the first half of a line end.
            kept = text.rstrip("\r")
            text, self._tail = kept, text[len(kept) :]
        return _clean(text)


def _clean(text: str) -> str:
    text = _OVERWRITTEN.sub("\r", _SEQUENCE.sub("", text))
    return _CONTROL.sub("", _RETURN.sub("\n", text))
