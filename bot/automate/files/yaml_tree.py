"""YAML as a tree of plain values that knows where each stands; pure.

What makes YAML dangerous or surprising is not read: no tags, no anchors and aliases, no key twice,
one document, and of words only `true`, `false` and `null` are something else than text (so `on`,
`yes` and `22:00` are what they look like). Nor are characters that are not seen: whoever approves a
file has read all that it says. Size, depth and the count of values are bounded.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from bot.words.catalogue import N_, Message
from bot.words.catalogue import gettext as _
from bot.words.hidden import Hidden, first_hidden, paired

BYTES_MAX = 64 * 1024
"""Of a file."""
DEPTH_MAX = 12
VALUES_MAX = 5_000
"""Of a file, keys included."""
FAULTS_MAX = 50
SAID_LENGTH_MAX = 60
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?"
)
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_PROBLEMS = (
    ("while scanning an alias", N_("quotes around a value that begins with *")),
    ("found character '\\t'", N_("spaces instead of tabs")),
    ("that cannot start any token", N_("quotes around a value that begins with such a sign")),
    ("unknown escape character", N_("single quotes around a value with a backslash")),
    ("quoted scalar", N_("a quote that closes the value")),
    ("while parsing a flow", N_("a bracket that closes what was opened")),
    ("could not find expected ':'", N_("a colon behind the key")),
    ("mapping values are not allowed", N_("one key in a line, and a value with a colon in quotes")),
    ("expected <block end>", N_("the same distance from the left as what it belongs to")),
)
"""What the reader of YAML complains about, and what was expected."""

Path = tuple[str | int, ...]
"""Keys and places from the root on."""


@dataclass(frozen=True, kw_only=True, order=True)
class Spot:
    """Where something stands, both from 1."""

    line: int = 1
    column: int = 1


FIRST = Spot()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong in a file."""

    spot: Spot
    at: Path
    said: str
    """What is there."""
    expected: Message
    near: str = ""
    """What was probably meant."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What a file says."""

    value: Any
    spots: Mapping[Path, Spot]
    """Where values begin."""
    keys: Mapping[Path, Spot]
    """Where their keys do."""
    faults: tuple[Fault, ...] = ()

    def spot(self, path: Path) -> Spot:
        """Where a value stands, or else what it would stand in."""
        while path not in self.spots and path:
            path = path[:-1]
        return self.spots.get(path, FIRST)


class NotYaml(Exception):
    """It can't be read at all; what is wrong is `fault`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault.expected))
        self.fault = fault


def parse(data: bytes) -> Tree:
    """Read a file. :raises NotYaml: it is none, or more than is read here"""
    if len(data) > BYTES_MAX:
        raise _refused(FIRST, f"{len(data):,}", _("at most {most} bytes", most=f"{BYTES_MAX:,}"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(Spot(line=line), "", _("text in UTF-8")) from None
    reading = _Reading(text=text)
    loader = _opened(text)
    try:
        value = reading.document(_events(loader))
    except yaml.YAMLError as error:
        raise _not_read(error, text) from None
    except (ValueError, OverflowError):
        # What escapes and versions say is made a character and a number without a look.
        spot = Spot(line=loader.line + 1, column=loader.column + 1)
        raise _refused(spot, "", _("characters and numbers that there are")) from None
    faults = tuple(reading.faults[:FAULTS_MAX])
    return Tree(value=value, spots=reading.spots, keys=reading.keys, faults=faults)


def _opened(text: str) -> yaml.SafeLoader:
    try:
        return yaml.SafeLoader(text)
    except yaml.YAMLError as error:
        raise _not_read(error, text) from None


def _events(loader: yaml.SafeLoader) -> Iterator[Any]:
    while loader.check_event():
        yield loader.get_event()


@dataclass
class _Reading:
    """Makes the tree of the reader's events."""

    text: str
    spots: dict[Path, Spot] = field(default_factory=dict)
    keys: dict[Path, Spot] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    count: int = 0

    def document(self, events: Iterator[Any]) -> Any:
        """The value of the first document, if it is the only one."""
        found: Any = None
        documents = 0
        for event in events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            documents += 1
            if documents > 1:
                raise _refused(_spot(event), "---", _("one document in a file"))
            found = self._value(next(events), events, ())
        return found

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self._check(event, path)
        self.spots[path] = _spot(event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(events, path)
        return self._mapping(events, path)

    def _list(self, events: Iterator[Any], path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            found.append(self._value(event, events, (*path, len(found))))
        return found

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            self._check(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise _refused(_spot(event), "", _("a word as the key"), path)
            key, where = event.value, (*path, event.value)
            if key in found:
                first = self.keys[where]
                expected = _("each key once; it stands in line {line} already", line=first.line)
                fault = Fault(spot=_spot(event), at=where, said=shown(key), expected=expected)
                self.faults.append(fault)
                self._value(next(events), events, (*path, key, "again"))
                continue
            self.keys[where] = _spot(event)
            found[key] = self._value(next(events), events, where)
        return found

    def _check(self, event: Any, path: Path) -> None:
        self.count += 1
        if self.count > VALUES_MAX:
            raise _refused(_spot(event), "", _("at most {most} values", most=f"{VALUES_MAX:,}"))
        if len(path) > DEPTH_MAX:
            raise _refused(_spot(event), "", _("at most {most} levels", most=DEPTH_MAX), path[:3])
        if isinstance(event, yaml.ScalarEvent):
            self._check_seen(event, path)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            name = f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor}"
            expected = _(
                "the value itself, as anchors and aliases are not read; * and & in quotes are text"
            )
            raise _refused(_spot(event), name, expected, path)
        if event.tag is not None and event.tag != "!":
            raise _refused(_spot(event), event.tag, _("a value without a tag"), path)

    def _check_seen(self, event: yaml.ScalarEvent, path: Path) -> None:
        """:raises NotYaml: somebody who reads it would not see all of it"""
        event.value = paired(event.value)
        found = first_hidden(event.value)
        if found is None:
            return
        spot, first = _spot(event), event.start_mark.index
        if written := first_hidden(self.text[first : event.end_mark.index]):
            spot = _spot_at(self.text, first + written.place)
        raise _unseen(spot, found, path)


def shown(value: Any) -> str:
    """What is there, as a sentence can have it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    if isinstance(value, dict):
        keys = ", ".join(f"{key}: …" for key in list(value)[:3])
        return _bounded(f"{{{keys}}}")
    return _bounded(" ".join(str(value).split()))


def _bounded(said: str) -> str:
    plain = "".join(one if one.isprintable() else "\ufffd" for one in said)
    return plain if len(plain) <= SAID_LENGTH_MAX else f"{plain[: SAID_LENGTH_MAX - 1]}…"


def _scalar(event: yaml.ScalarEvent) -> Any:
    said = str(event.value)
    if event.style is not None:
        return said
    if said in _WORDS:
        return _WORDS[said]
    if _INTEGER.fullmatch(said):
        return int(said)
    if _NUMBER.fullmatch(said) and math.isfinite(number := float(said)):
        return number
    return said


def _spot(event: Any) -> Spot:
    return Spot(line=event.start_mark.line + 1, column=event.start_mark.column + 1)


def _spot_at(text: str, place: int) -> Spot:
    before = text[:place]
    return Spot(line=before.count("\n") + 1, column=place - before.rfind("\n"))


def _unseen(spot: Spot, found: Hidden, at: Path = ()) -> NotYaml:
    return _refused(spot, str(found), _("text without hidden characters"), at)


def _refused(spot: Spot, said: str, expected: Message, at: Path = ()) -> NotYaml:
    return NotYaml(Fault(spot=spot, at=at, said=_bounded(said), expected=expected))


def _not_read(error: yaml.YAMLError, text: str) -> NotYaml:
    """What the reader complained about."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        # A character that no YAML has.
        place = int(getattr(error, "position", 0))
        return _unseen(_spot_at(text, place), Hidden(place=place, character=text[place]))
    spot = Spot(line=mark.line + 1, column=mark.column + 1)
    lines = text.splitlines()
    said = lines[mark.line].strip() if mark.line < len(lines) else ""
    what = f"{getattr(error, 'context', '') or ''} {getattr(error, 'problem', '') or ''}"
    for begins, expected in _PROBLEMS:
        if begins in what:
            return _refused(spot, said, _(expected))
    return _refused(spot, said, _("YAML ({problem})", problem=what.strip()))
