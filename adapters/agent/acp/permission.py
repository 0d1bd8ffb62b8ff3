"""Who decides what an agent asks permission for, and how an answer is told to it; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHOICES_MAX = 10
NAME_LENGTH_MAX = 80
_ALLOWS = ("allow_always", "allow_once")
_REFUSES = ("reject_once", "reject_always")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of the answers that an agent offers."""

    id: str
    name: str
    kind: str


def options_of(params: Mapping[str, Any]) -> Sequence[Option]:
    """The answers that a request offers; those that are none are left out."""
    offered = params.get("options")
    if not isinstance(offered, list):
        return []
    return [
        Option(
            id=one["optionId"],
            name=" ".join(str(one.get("name") or one["optionId"]).split())[:NAME_LENGTH_MAX],
            kind=str(one.get("kind")),
        )
        for one in offered[:CHOICES_MAX]
        if isinstance(one, Mapping) and isinstance(one.get("optionId"), str)
    ]


def allowing(options: Sequence[Option]) -> Option | None:
    """The answer that lets the agent go on, for the longest; None: there is none."""
    return _first(options, _ALLOWS)


def refusing(options: Sequence[Option]) -> Option | None:
    """The answer that does not, and only this once; None: there is none."""
    return _first(options, _REFUSES)


def meant(options: Sequence[Option], answer: str) -> Option | None:
    """The option that a person's words name; None: they name none."""
    wanted = answer.strip().casefold()
    for option in options:
        if wanted in {option.name.casefold(), option.id.casefold()}:
            return option
    if wanted in {"yes", "y", "ok", "allow"}:
        return _first(options, ("allow_once", "allow_always"))
    if wanted in {"no", "n", "deny", "reject"}:
        return refusing(options)
    return None


def outcome(option: Option | None) -> Mapping[str, Any]:
    """The result of a request; without an option it was cancelled."""
    if option is None:
        return {"outcome": {"outcome": "cancelled"}}
    return {"outcome": {"outcome": "selected", "optionId": option.id}}


def _first(options: Sequence[Option], kinds: Sequence[str]) -> Option | None:
    for kind in kinds:
        for option in options:
            if option.kind == kind:
                return option
    return None
