"""Regular expressions whose search takes time in proportion to the text, whatever they say; pure.

Who writes the expression approves what it is for, but the text is anybody's: with `re` one message
could keep a process busy for hours. All states that can be reached are followed at once, so there
is no going back; what needs going back (groups that are named again, a look around) is refused.

    a|b  ( )  (?: )  [ ]  .  ^  $  \\d \\w \\s \\b and their opposites  * + ? {m} {m,} {m,n}  (?i)
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from bot.words.catalogue import N_

PATTERN_LENGTH_MAX = 200
STATES_MAX = 300
"""Of an expression, with its repeats written out."""
DEPTH_MAX = 20
"""Groups within groups."""
TEXT_LENGTH_MAX = 4_000
"""Of a text; what is behind that is not searched."""
NOT_CLOSED = N_("a regular expression whose brackets are closed")
TOO_LARGE = N_("a regular expression that is shorter: its repeats are too many")
NOT_HERE = N_("a regular expression without looking around and without naming groups again")
NOTHING_REPEATED = N_("a regular expression with something before each of * + ? and {}")
_COUNT = re.compile(r"\{(\d{1,3})(,)?(\d{1,3})?\}")
_WORD = re.compile(r"\w")

Kind = str
"""`char`, `split`, `match`, or an assertion: `^`, `$`, `b`, `B`."""


@dataclass(frozen=True, kw_only=True)
class _Node:
    """A piece of an expression."""

    kind: str
    """`char`, `^`, `$`, `b`, `B`, `sequence`, `choice`, `repeat`."""
    accepts: Callable[[str], object] = bool
    parts: "tuple[_Node, ...]" = ()
    least: int = 0
    most: int | None = None


@dataclass
class _State:
    kind: Kind
    accepts: Callable[[str], object] = bool
    ways: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Pattern:
    """A compiled expression."""

    states: tuple[_State, ...]
    start: int

    def is_in(self, text: str) -> bool:
        """Whether it is found anywhere in the text."""
        text = text[:TEXT_LENGTH_MAX]
        active: set[int] = set()
        for place in range(len(text) + 1):
            reached = self._closure({*active, self.start}, text, place)
            if any(self.states[one].kind == "match" for one in reached):
                return True
            if place == len(text):
                break
            active = {
                way
                for one in reached
                if self.states[one].kind == "char" and self.states[one].accepts(text[place])
                for way in self.states[one].ways
            }
        return False

    def _closure(self, begun: set[int], text: str, place: int) -> set[int]:
        """What is reached without reading on."""
        found, left = set(begun), list(begun)
        while left:
            state = self.states[left.pop()]
            if state.kind == "split" or (state.kind in "^$bB" and _holds(state.kind, text, place)):
                new = [way for way in state.ways if way not in found]
                found.update(new)
                left += new
        return found


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Pattern:
    """Read an expression. :raises ValueError: with what is expected instead, as a message's id"""
    if len(pattern) > PATTERN_LENGTH_MAX:
        raise ValueError(TOO_LARGE)
    node = _Reader(pattern).read()
    states: list[_State] = [_State("match")]
    start = _built(node, 0, states)
    return Pattern(tuple(states), start)


def _holds(kind: Kind, text: str, place: int) -> bool:
    before = text[place - 1] if place else "\n"
    after = text[place] if place < len(text) else "\n"
    if kind == "^":
        return before == "\n"
    if kind == "$":
        return after == "\n"
    at_edge = bool(_WORD.match(before)) != bool(_WORD.match(after))
    return at_edge == (kind == "b")


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, pattern: str) -> None:
        self._flags = re.IGNORECASE if pattern.startswith("(?i)") else re.NOFLAG
        self._text = pattern.removeprefix("(?i)")
        self._at = 0

    def read(self) -> _Node:
        found = self._choice(0)
        if self._at < len(self._text):
            raise ValueError(NOT_CLOSED)
        return found

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choice(self, depth: int) -> _Node:
        if depth > DEPTH_MAX:
            raise ValueError(TOO_LARGE)
        parts = [self._sequence(depth)]
        while self._next() == "|":
            self._at += 1
            parts.append(self._sequence(depth))
        return _Node(kind="choice", parts=tuple(parts)) if len(parts) > 1 else parts[0]

    def _sequence(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while self._next() and self._next() not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return _Node(kind="sequence", parts=tuple(parts))

    def _repeated(self, node: _Node) -> _Node:
        """What stands before a repeat, as often as it says."""
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        count = _COUNT.match(self._text, self._at)
        if self._next() and self._next() in simple:
            least, most = simple[self._next()]
            self._at += 1
        elif count is not None:
            least = int(count[1])
            most = int(count[3]) if count[3] else None if count[2] else least
            self._at = count.end()
        else:
            return node
        if node.kind in "^$bB" or (most is not None and most < least):
            raise ValueError(NOTHING_REPEATED)
        if self._next() == "?":
            # Lazy or not, it is found or it is not.
            self._at += 1
        if self._next() and self._next() in "*+?":
            raise ValueError(NOTHING_REPEATED)
        return _Node(kind="repeat", parts=(node,), least=least, most=most)

    def _atom(self, depth: int) -> _Node:
        one = self._next()
        if one == "(":
            return self._group(depth)
        if one in "*+?":
            raise ValueError(NOTHING_REPEATED)
        if one in "^$":
            self._at += 1
            return _Node(kind=one)
        if one == "[":
            return self._char(self._class_end())
        if one == "\\":
            return self._escaped()
        if one == ".":
            return self._char(self._at + 1)
        self._at += 1
        return self._single(re.escape(one))

    def _group(self, depth: int) -> _Node:
        self._at += 1
        if self._next() == "?":
            if not self._text.startswith("?:", self._at):
                raise ValueError(NOT_HERE)
            self._at += 2
        found = self._choice(depth + 1)
        if self._next() != ")":
            raise ValueError(NOT_CLOSED)
        self._at += 1
        return found

    def _escaped(self) -> _Node:
        one = self._text[self._at + 1 : self._at + 2]
        if not one:
            raise ValueError(NOT_CLOSED)
        if one in "bB":
            self._at += 2
            return _Node(kind=one)
        if one.isdigit() or (one.isalpha() and one not in "dDwWsSnrtfv"):
            raise ValueError(NOT_HERE)
        return self._char(self._at + 2)

    def _class_end(self) -> int:
        """Where the class that begins here is over."""
        at = self._at + 1
        if self._text.startswith("^", at):
            at += 1
        if self._text.startswith("]", at):
            at += 1
        while at < len(self._text) and self._text[at] != "]":
            at += 2 if self._text[at] == "\\" else 1
        if at >= len(self._text):
            raise ValueError(NOT_CLOSED)
        return at + 1

    def _char(self, end: int) -> _Node:
        """One character, as this part of the expression says."""
        said, self._at = self._text[self._at : end], end
        return self._single(said)

    def _single(self, said: str) -> _Node:
        try:
            accepts = re.compile(said, self._flags).fullmatch
        except re.error as error:
            raise ValueError(NOT_CLOSED) from error
        return _Node(kind="char", accepts=accepts)


def _built(node: _Node, then: int, states: list[_State]) -> int:
    """Add the states of a piece that goes on at `then`; where it begins."""
    if node.kind == "sequence":
        for part in reversed(node.parts):
            then = _built(part, then, states)
        return then
    if node.kind == "choice":
        return _added(states, "split", [_built(part, then, states) for part in node.parts])
    if node.kind == "repeat":
        return _built_repeat(node, then, states)
    return _added(states, node.kind, [then], node.accepts)


def _built_repeat(node: _Node, then: int, states: list[_State]) -> int:
    (part,) = node.parts
    if node.most is None:
        again = _added(states, "split", [then])
        states[again].ways.append(_built(part, again, states))
        then = again
    for _optional in _times(0 if node.most is None else node.most - node.least):
        then = _added(states, "split", [_built(part, then, states), then])
    for _needed in _times(node.least):
        then = _built(part, then, states)
    return then


def _times(count: int) -> Iterator[int]:
    return iter(range(count))


def _added(
    states: list[_State], kind: Kind, ways: list[int], accepts: Callable[[str], object] = bool
) -> int:
    if len(states) >= STATES_MAX:
        raise ValueError(TOO_LARGE)
    states.append(_State(kind, accepts, ways))
    return len(states) - 1
