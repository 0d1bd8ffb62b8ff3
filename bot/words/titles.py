"""What a session is called: a few words on one line, of its first prompt or of a person; pure."""

import re

from bot.words.plain import settled

TITLE_CHARACTERS_MAX = 100
"""Of any title; Discord takes no longer name for a thread."""
MADE_CHARACTERS_MAX = 60
"""Of one that is made of a prompt: it is read in lists."""

READ_CHARACTERS_MAX = 1000
"""Of a prompt, without its blocks of code: what is looked for takes longer than a text is long."""

_BLOCK = re.compile(
    r"^[ \t]*+(```|~~~)[^\n]*\n(.*?)(?:^[ \t]*+\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)")
_ADDRESS = re.compile(r"<?\bhttps?://(?:www\.)?([^\s<>]+)>?")
_LINE_START = re.compile(
    r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+|\d+[.)][ \t]+)+", re.MULTILINE
)
_AROUND = re.compile(r"(?<![\w*_~])(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?![\w*_~])")
_CODE = re.compile(r"(`+)[ ]?(.+?)[ ]?\1")


def made_of(prompt: str) -> str:
    """A title out of a prompt's first words, without its markup; "" when it has no words.

    Code in a block counts only when nothing is said beside it.
    """
    text = settled(prompt)
    words = _without_markup(_BLOCK.sub("\n", text)) or _without_markup(text.replace("```", "\n"))
    return _cut(words, MADE_CHARACTERS_MAX)


def made_of_command(command: str) -> str:
    """A title out of a command's first words, as they are: a star is no markup there."""
    return _cut(tidied(command), MADE_CHARACTERS_MAX)


def tidied(said: str) -> str:
    """A title that a person gave, on one line; it may be too long, or empty."""
    return " ".join(settled(said).split())


def _without_markup(text: str) -> str:
    text = text.lstrip()[:READ_CHARACTERS_MAX]
    text = _ADDRESS.sub(lambda found: found[1].rstrip("/"), _LINK.sub(r"\1", text))
    text = _LINE_START.sub("", text)
    # What is in code stays as it is: `__init__` is no underlined word.
    parts = [_AROUND.sub(r"\2", one) if place % 3 == 0 else one for place, one in _pieces(text)]
    return " ".join("".join(parts).split())


def _pieces(text: str) -> list[tuple[int, str]]:
    """Prose and code in turn: every third piece is prose, the others are a fence and its code."""
    pieces = list(enumerate(_CODE.split(text)))
    return [(place, one) for place, one in pieces if place % 3 != 1]


def _cut(words: str, characters_max: int) -> str:
    """The beginning of `words` up to the end of a word, if that is not too early."""
    if len(words) <= characters_max:
        return words
    beginning = words[: characters_max - 1]
    whole = beginning.rpartition(" ")[0] if words[characters_max - 1] != " " else beginning
    return (whole if len(whole) > characters_max // 2 else beginning).rstrip(" ,;:.-") + "…"
