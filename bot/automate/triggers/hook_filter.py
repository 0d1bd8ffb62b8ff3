"""Which deliveries of a webhook count, by values in their bodies; pure.

pull_request.base.ref: main            the value there is this one
action: [opened, reopened]             it is one of these
labels.*.name: urgent                  any part of a list or object has it
items.0.id: 7                          a place in a list
draft: null                            it is null, or there is none
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PATH_PARTS_MAX = 20
VALUES_MAX = 10_000
"""Of one body, looked at on the way of one path; one that leads through more is not met."""
ANY = "*"


def missed(wanted: Mapping[str, Any], body: Any) -> str:
    """The first path at which no value counts; empty: all of them have one that does."""
    for path, counts in wanted.items():
        if not _is_met(path, counts, body):
            return path
    return ""


def wrong(path: str) -> bool:
    """Whether nothing can be at such a path."""
    parts = path.split(".")
    return len(parts) > PATH_PARTS_MAX or not all(parts)


def _is_met(path: str, counts: Any, body: Any) -> bool:
    choices = counts if isinstance(counts, list) else [counts]
    there, left = False, iter(range(VALUES_MAX))
    for value in _values(body, path.split("."), left):
        there = True
        if any(_same(value, one) for one in choices):
            return True
    return not there and None in choices and next(left, None) is not None


def _values(value: Any, parts: list[str], left: Iterator[int]) -> Iterator[Any]:
    """What is at a path, as long as values are left that may be looked at."""
    if next(left, None) is None:
        return
    if not parts:
        yield value
        return
    for one in _next(value, parts[0]):
        yield from _values(one, parts[1:], left)


def _next(value: Any, part: str) -> Iterable[Any]:
    if isinstance(value, Mapping):
        if part == ANY:
            return value.values()
        return [value[part]] if part in value else []
    if isinstance(value, list):
        if part == ANY:
            return value
        if part.isascii() and part.isdigit() and int(part[:9]) < len(value):
            return [value[int(part[:9])]]
    return []


def _same(value: Any, wanted: Any) -> bool:
    """As JSON tells values apart: true is not 1, and 1 is 1.0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return value == wanted
    return type(value) is type(wanted) and bool(value == wanted)
