"""What each kind of grant takes, so that a wrong one is told before a turn asks for it; pure.

A kind is written down here and issued by an `Issuer`; a test holds that both know the same ones.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.vault.port import ANY_MODE, ONLY_HANDED, ONLY_INJECTED, Mode, Wanted

Types = tuple[type, ...]
TEXT: Types = (str,)
LIST: Types = (list, tuple)
TABLE: Types = (Mapping,)
NUMBER: Types = (int,)
CALLED = {TEXT: "a text", LIST: "a list", TABLE: "a table", NUMBER: "a number"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be asked of an issuer."""

    modes: frozenset[Mode]
    needs: Mapping[str, Types] = field(default_factory=dict)
    """Options that it can't do without."""
    takes: Mapping[str, Types] = field(default_factory=dict)
    """Further ones."""
    values: frozenset[str] = frozenset()
    """What headers may name; empty: only its issuer knows."""

    @property
    def options(self) -> Mapping[str, Types]:
        """All of them."""
        return {**self.needs, **self.takes}


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """What is wrong with a grant, and with which of its keys."""

    key: tuple[str, ...]
    text: str


MOUNT = {"mount": TEXT}
KINDS: Mapping[str, Kind] = {
    "kv": Kind(modes=ONLY_INJECTED, takes={"path": TEXT, **MOUNT}),
    "database": Kind(modes=ONLY_HANDED, needs={"role": TEXT}, takes=MOUNT),
    "ssh": Kind(
        modes=ONLY_HANDED,
        needs={"role": TEXT},
        takes={"principals": TEXT, "type": TEXT, **MOUNT},
    ),
    "github": Kind(
        modes=ONLY_INJECTED,
        needs={"repositories": LIST, "permissions": TABLE},
        values=frozenset({"token", "basic"}),
    ),
    "gitlab": Kind(
        modes=ONLY_INJECTED,
        needs={"project": (str, int)},
        takes={"scopes": LIST, "level": NUMBER},
        values=frozenset({"token", "basic"}),
    ),
    "identity": Kind(modes=ANY_MODE, needs={"audience": TEXT}, values=frozenset({"token"})),
}


def flaw_of(wanted: Wanted) -> Flaw | None:
    """The first thing by which no issuer would take it; None: it can be asked for."""
    kind = KINDS.get(wanted.kind)
    if kind is None:
        return Flaw(key=("kind",), text=f"is {wanted.kind!r}; there are {_listed(KINDS)}")
    if wanted.mode not in kind.modes:
        only = _listed(one.value for one in kind.modes)
        return Flaw(key=("mode",), text=f"is {wanted.mode.value!r}; {wanted.kind} is only {only}")
    for name, value in wanted.options.items():
        types = kind.options.get(name)
        if types is None:
            text = f"is none of {wanted.kind}, which takes {_listed(kind.options)}"
            return Flaw(key=("options", name), text=text)
        if not isinstance(value, types) or isinstance(value, bool) or value in ("", [], {}):
            called = CALLED.get(types, "a text or a number")
            return Flaw(key=("options", name), text=f"should be {called} that is not empty")
    missing = [name for name in kind.needs if name not in wanted.options]
    if missing:
        text = f"lacks {_listed(missing)}, which {wanted.kind} needs"
        return Flaw(key=("options",), text=text)
    return _unknown_value(wanted, kind)


def _unknown_value(wanted: Wanted, kind: Kind) -> Flaw | None:
    for header, template in wanted.headers.items():
        named = {value for _, value, _, _ in string.Formatter().parse(template) if value}
        if kind.values and (unknown := named - kind.values):
            text = f"names {_listed(unknown)}; the values of {wanted.kind} are "
            return Flaw(key=("headers", header), text=text + _listed(kind.values))
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
