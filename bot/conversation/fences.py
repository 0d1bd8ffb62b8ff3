"""The text of a reply: prose, Markdown and fenced blocks, cleaned, cut and split; pure.

A body, as rows keep it, is text that people can read as it is. The only markup in it is a line of
three or more backticks that opens a block, and the same line that ends it; with tildes it is
Markdown that stands between them. What comes from outside can't make one: `prose` moves such lines
in by a space, `fenced` and `marked` take a longer line than any in it.

    settled ─▶ prose | marked | fenced ─▶ body (kept) ─▶ split (by length) ─▶ compose (posted)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from adapters.chat.dialect import Dialect
from bot.conversation.marked import code_lines, written
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.words.plain import settled

FENCE = "```"
CUT = N_("… the rest is on the session's page.")
TEXT_LENGTH_MIN = 200
"""No surface may bear less: a cut text still holds its note and some words."""

_OPENS = re.compile(r"^(`{3,}|~{3,})$")
_LEADING = re.compile(r"^(?:`{3,}|~{3,})", re.MULTILINE)


class Escape(Protocol):
    """How a surface shows text as it is; see `adapters.chat.port.ChatPort.escape`."""

    def __call__(self, text: str, *, code: bool) -> str:
        """Return `text` without any meaning to the surface."""
        ...


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What a surface bears, as far as texts go."""

    text_length_max: int
    """Characters of one post, escaped."""
    escape: Escape
    dialect: Dialect | None = None
    """How it writes emphasis and links; None: Markdown is shown as it is."""
    live: bool = True
    """Whether a message is kept up to date while a turn runs."""
    in_place: bool = True
    """Whether it is a post of the thread, whose place a quick answer can take."""
    reacts: bool = False
    """Whether prompts' messages bear our reactions."""
    titles: bool = False
    """Whether its threads have names."""
    phases: bool = False
    """Whether it has its own way to show what goes on in a thread."""
    absolute: bool = False
    """Whether it shows each reader their own zone of a moment that is written in UTC."""
    documents: bool = False
    """Whether text files can stand beside its posts."""
    pages: str = ""
    """Address of our pages, where people reach them."""
    output_length_max: int = 3_000
    output_lines_max: int = 60
    parts_max: int = 5
    """Posts that one answer may take."""

    def __post_init__(self) -> None:
        if self.text_length_max < TEXT_LENGTH_MIN:
            raise ValueError(f"text_length_max: {self.text_length_max} < {TEXT_LENGTH_MIN}")

    @property
    def shows_ends_alone(self) -> bool:
        """Whether all that a thread shows of a turn is one post at its end."""
        return self.live and not self.in_place


@dataclass(frozen=True)
class Segment:
    """A stretch of a body: prose, or what stands in a block."""

    text: str
    code: bool
    marked: bool = False
    """It is Markdown."""


def prose(text: str) -> str:
    """`text` from outside as prose: none of its lines opens or ends a block."""
    return _inert(settled(text)).strip("\n")


def _inert(text: str) -> str:
    return _LEADING.sub(lambda run: " " + run.group(), text)


def fenced(text: str) -> str:
    """`text` from outside in a block that nothing in it can end."""
    return _between("`", settled(text).strip("\n"))


def marked(text: str) -> str:
    """`text` from outside that is written in Markdown; its blocks of code are ours then."""
    lines, done = settled(text).strip("\n").split("\n"), 0
    parts: list[str] = []
    for first, after, code in code_lines("\n".join(lines)):
        parts += [_marked(lines[done:first]), fenced(code) if code.strip() else ""]
        done = after
    return "\n".join(part for part in [*parts, _marked(lines[done:])] if part)


def _marked(lines: Sequence[str]) -> str:
    text = "\n".join(lines).strip("\n")
    return _between("~", text) if text.strip() else ""


def _between(sign: str, text: str) -> str:
    runs = [len(run) for run in _LEADING.findall(text)]
    fence = sign * max([len(FENCE), *(run + 1 for run in runs)])
    return f"{fence}\n{text}\n{fence}"


def tail(text: str, *, lines_max: int, length_max: int) -> str:
    """The end of `text` within both bounds, from a line's beginning if one is near."""
    kept = "\n".join(text.split("\n")[-lines_max:])
    if len(kept) <= length_max:
        return kept
    kept = kept[-length_max:]
    line_end = kept.find("\n")
    return kept[line_end + 1 :] if 0 <= line_end < length_max // 4 else kept


def segments(body: str) -> list[Segment]:
    """The stretches of a body in order; a block that is not ended goes to the end."""
    found: list[Segment] = []
    lines: list[str] = []
    fence = ""
    for line in body.split("\n"):
        opens = _OPENS.match(line)
        if (not fence and opens) or (fence and line == fence):
            _add(found, lines, fence)
            lines = []
            fence = "" if fence else line
        else:
            lines.append(line)
    _add(found, lines, fence)
    return found


def _add(found: list[Segment], lines: Sequence[str], fence: str) -> None:
    text = "\n".join(lines).strip("\n")
    if text.strip():
        is_marked = fence.startswith("~")
        found.append(Segment(text, code=bool(fence) and not is_marked, marked=is_marked))


def split(body: str, manner: Manner) -> list[str]:
    """Bodies that each fit into one post of the surface; no block is broken.

    What does not fit into `manner.parts_max` of them is left out, and the last one says so.
    """
    rest = segments(body)
    parts: list[list[Segment]] = []
    while rest and len(parts) < manner.parts_max:
        before = rest
        taken, rest = _take(rest, manner, manner.text_length_max)
        if rest and len(parts) + 1 == manner.parts_max:
            taken = _take(before, manner, manner.text_length_max - _note_length(manner))[0]
            taken.append(Segment(_(CUT), code=False))
        parts.append(taken)
    return [_body(part) for part in parts]


def compose(body: str, manner: Manner) -> str:
    """What is posted: escaped for the surface, cut to its length with a note if need be."""
    stretches = segments(body)
    taken, rest = _take(stretches, manner, manner.text_length_max)
    if rest:
        taken = _take(stretches, manner, manner.text_length_max - _note_length(manner))[0]
        taken.append(Segment(_(CUT), code=False))
    return "\n".join(_shown(stretch, manner) for stretch in taken)


def _note_length(manner: Manner) -> int:
    return len(manner.escape(_(CUT), code=False)) + 1


def _body(stretches: Sequence[Segment]) -> str:
    """As kept; a cut in the middle of a line may not make a fence of backticks that stood there."""
    return "\n".join(_kept(one) for one in stretches)


def _kept(stretch: Segment) -> str:
    if stretch.marked:
        return _between("~", stretch.text)
    return fenced(stretch.text) if stretch.code else _inert(stretch.text)


def _shown(stretch: Segment, manner: Manner) -> str:
    if stretch.marked and manner.dialect is not None:
        return written(stretch.text, manner.dialect, partial(manner.escape, code=False))
    escaped = manner.escape(stretch.text, code=stretch.code)
    return f"{FENCE}\n{escaped}\n{FENCE}" if stretch.code else escaped


def _take(
    stretches: Sequence[Segment], manner: Manner, length_max: int
) -> tuple[list[Segment], list[Segment]]:
    """As much as fits into `length_max`, and the rest."""
    taken: list[Segment] = []
    room = length_max
    for index, stretch in enumerate(stretches):
        length = len(_shown(stretch, manner)) + bool(taken)
        if length <= room:
            taken.append(stretch)
            room -= length
            continue
        head, left = _cut(stretch, manner, room - bool(taken))
        if head is not None:
            taken.append(head)
        rest = [left] if left.text.strip() else []
        return taken, [*rest, *stretches[index + 1 :]]
    return taken, []


def _cut(stretch: Segment, manner: Manner, room: int) -> tuple[Segment | None, Segment]:
    """Cut where a line or a word ends, if one does near the longest prefix that fits."""
    text = stretch.text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if len(_shown(replace(stretch, text=text[:middle]), manner)) <= room:
            fits = middle
        else:
            too_long = middle
    at = fits
    for end in ("\n", " "):
        near = text.rfind(end, 0, fits + 1)
        if near > fits // 2 and not (end == " " and stretch.code):
            at = near
            break
    if at == 0:
        return None, stretch
    left = text[at:].lstrip("\n")
    return replace(stretch, text=text[:at].rstrip("\n")), replace(stretch, text=left)
