"""Finds out that an agent goes in circles; pure.

    tool calls, each with its result ─▶ the last ones are the same few, again and again
    what the agent says              ─▶ the same again and again, and nothing new was done meanwhile

Both count how often in a row. A result that differs is progress, and so is a changed file: its diff
is a part of the result. What an agent thinks and plans does not count, for words change easily.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

PERIOD_MAX = 6
"""So many different steps make a circle at most."""
KNOWN_MAX = 10_000
"""Results that are remembered; later ones count as known, so that a circle is found anyway."""
SHOWN_LENGTH_MAX = 80
_ENDED = frozenset({"completed", "failed"})


@dataclass(frozen=True, kw_only=True)
class Circle:
    """Something that was done again and again."""

    what: str
    """Title of the tool call, or what was said."""
    times: int


class _Run:
    """How often the last steps repeat, for every length of circle."""

    def __init__(self) -> None:
        self._last: deque[str] = deque(maxlen=PERIOD_MAX)
        self._same = [0] * (PERIOD_MAX + 1)

    def add(self, step: str) -> int:
        """How many times in a row the last few steps were taken, this one among them."""
        for period in range(1, PERIOD_MAX + 1):
            known = len(self._last) >= period and self._last[-period] == step
            self._same[period] = self._same[period] + 1 if known else 0
        self._last.append(step)
        return 1 + max(self._same[period] // period for period in range(1, PERIOD_MAX + 1))

    def clear(self) -> None:
        self._last.clear()
        self._same = [0] * (PERIOD_MAX + 1)


class Circles:
    """Watches the events of one turn, in order."""

    def __init__(self, times_max: int) -> None:
        """`times_max`: of the same in a row; the last one of them makes a circle. At least 2."""
        self._times_max = times_max
        self._tools: dict[str, dict[str, Any]] = {}
        self._calls, self._words = _Run(), _Run()
        self._known: set[str] = set()
        self._said: list[str] = []

    def see(self, kind: str, body: Mapping[str, Any]) -> Circle | None:
        """Look at the next event, as it is stored; the circle that it closes."""
        if kind == "text":
            self._said.append(str(body.get("text", "")))
            return None
        if kind != "tool":
            return None
        said = self._word()
        return self._tool(body) or said

    def _tool(self, body: Mapping[str, Any]) -> Circle | None:
        key = str(body.get("id"))
        whole = {**self._tools.get(key, {}), **body}
        if whole.get("status") not in _ENDED:
            self._tools[key] = whole
            return None
        if self._tools.pop(key, None) is None and body.get("title") is None:
            return None
        step = _digest({name: value for name, value in whole.items() if name != "id"})
        if step not in self._known and len(self._known) < KNOWN_MAX:
            self._known.add(step)
            self._words.clear()
        return self._circle(self._calls.add(step), str(whole.get("title") or ""))

    def _word(self) -> Circle | None:
        """What was said up to here, as one step."""
        said = " ".join("".join(self._said).split())
        self._said.clear()
        return self._circle(self._words.add(_digest(said)), said) if said else None

    def _circle(self, times: int, what: str) -> Circle | None:
        if times < self._times_max:
            return None
        shown = " ".join(what.split())[:SHOWN_LENGTH_MAX]
        return Circle(what=shown, times=times)


def circle(events: Iterable[tuple[str, Mapping[str, Any]]], times_max: int) -> Circle | None:
    """The first circle in a turn's events; None: it gets on."""
    circles = Circles(times_max)
    return next(filter(None, (circles.see(kind, body) for kind, body in events)), None)


def _digest(step: object) -> str:
    return sha256(json.dumps(step, sort_keys=True, default=str).encode()).hexdigest()
