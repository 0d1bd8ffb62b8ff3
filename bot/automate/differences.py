"""What a proposed definition would change, part by part; and a definition as YAML; pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import yaml

from bot.automate.definition import SCHEMA
from bot.words.catalogue import Message
from bot.words.catalogue import gettext as _

_LISTS = ("triggers", "steps", "report_to")
"""Keys whose entries are compared one by one."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One part that is another one."""

    at: str
    """Its key, with dots; entries of lists are counted from 1."""
    before: str
    """As YAML; empty: there is none."""
    after: str

    @property
    def told(self) -> Message:
        """In words, without the values."""
        if not self.before:
            return _("{part} is new", part=self.at)
        if not self.after:
            return _("{part} is gone", part=self.at)
        return _("{part} is changed", part=self.at)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Between what counts and what is proposed, as rows keep them."""
    found: list[Difference] = []
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if key in _LISTS:
            found += _entries(key, old or [], new or [])
        elif isinstance(old, dict) and isinstance(new, dict):
            found += [
                Difference(at=f"{key}.{one.at}", before=one.before, after=one.after)
                for one in differences(old, new)
            ]
        else:
            found.append(Difference(at=key, before=_yaml(old), after=_yaml(new)))
    return found


def source_of(definition: Mapping[str, Any]) -> str:
    """A kept definition as its file would say it."""
    if not definition:
        return ""
    return _yaml({"schema": SCHEMA, **definition}) + "\n"


def _entries(key: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
    left = [json.dumps(one, sort_keys=True) for one in old]
    right = [json.dumps(one, sort_keys=True) for one in new]
    for kind, a, b, c, d in SequenceMatcher(a=left, b=right, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for place in range(max(b - a, d - c)):
            before = _yaml(old[a + place]) if a + place < b else ""
            after = _yaml(new[c + place]) if c + place < d else ""
            number = (c if after else a) + place + 1
            yield Difference(at=f"{key}[{number}]", before=before, after=after)


_Dumper = type("_Dumper", (yaml.SafeDumper,), {})
"""Writes text of several lines as a block."""


def _text(dumper: yaml.SafeDumper, said: str) -> yaml.ScalarNode:
    style = "|" if "\n" in said else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", said, style=style)


yaml.add_representer(str, _text, Dumper=_Dumper)


def _yaml(value: Any) -> str:
    if value is None:
        return ""
    said: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return said.removesuffix("\n").removesuffix("\n...")
