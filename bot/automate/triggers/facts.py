"""What is known of something that happened, made to fit into a row; pure.

It comes from outside: it may be of any size and depth, and hold what PostgreSQL can't store.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

FACTS_BYTES_MAX = 32 * 1024
"""As JSON in UTF-8."""
NAME_LENGTH_MAX = 100
DEPTH_MAX = 8
INTEGER_MAX = 2**63
_STEPS = ((8_000, 100, DEPTH_MAX), (2_000, 50, DEPTH_MAX), (500, 20, 4), (100, 10, 2), (100, 20, 1))
"""Characters of a text, parts of a list or object and levels, from what is kept at best to the
least, which always fits."""


def bounded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same, cut until it fits."""
    for step in _STEPS:
        made = _mapping(facts, *step)
        if _fits(made):
            break
    return made


def plain(text: str, length_max: int) -> str:
    """Text that can be stored and shown, and is no longer than that."""
    clean = text[: length_max + 1].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    return clean if len(clean) <= length_max else f"{clean[: length_max - 1]}…"


def _fits(made: Any) -> bool:
    return len(json.dumps(made, ensure_ascii=False).encode()) <= FACTS_BYTES_MAX


def _mapping(value: Mapping[str, Any], length: int, parts: int, depth: int) -> dict[str, Any]:
    kept = list(value.items())[:parts]
    return {
        plain(str(name), NAME_LENGTH_MAX): _value(one, length, parts, depth - 1)
        for name, one in kept
    }


def _value(value: Any, length: int, parts: int, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return _number(value)
    if isinstance(value, str) or not isinstance(value, Mapping | list | tuple):
        return plain(str(value), length)
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return _mapping(value, length, parts, depth)
    return [_value(one, length, parts, depth - 1) for one in value[:parts]]


def _number(value: float | None) -> float | str | None:
    """A number that PostgreSQL and every reader of JSON know, or a truth, or nothing."""
    if value is None or isinstance(value, bool):
        return value
    is_known = math.isfinite(value) if isinstance(value, float) else abs(value) < INTEGER_MAX
    return value if is_known else "…"
