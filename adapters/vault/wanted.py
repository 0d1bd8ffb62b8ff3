"""What a project's turns are to get, as it is written down; pure.

[{"name": "npm", "kind": "kv", "mode": "injected", "route": "npm",
  "headers": {"Authorization": "Bearer {token}"}}, …]
"""

import re
import string
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from adapters.vault.errors import Misasked
from adapters.vault.port import Mode, Wanted

NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
KNOWN = frozenset(
    {"name", "kind", "mode", "purpose", "route", "headers", "options", "reads", "builds"}
)


def read(entries: Sequence[Mapping[str, object]]) -> tuple[Wanted, ...]:
    """The grants that are asked for. :raises Misasked: what is wrong, and where"""
    found = tuple(_one(number, entry) for number, entry in enumerate(entries, start=1))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise Misasked(f"two grants are called {name}")
    return found


def _one(number: int, entry: Mapping[str, object]) -> Wanted:
    where = f"grant {number}"
    if unknown := set(entry) - KNOWN:
        raise Misasked(f"{where} has {', '.join(sorted(unknown))}, which no grant has")
    name = entry.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise Misasked(f"{where} needs a name of small letters, digits and dashes")
    where = f"the grant {name}"
    if entry.get("mode") not in set(Mode):
        raise Misasked(f"{where} needs a mode, {' or '.join(Mode)}")
    kind, mode = entry.get("kind"), Mode(str(entry["mode"]))
    if not isinstance(kind, str) or not kind:
        raise Misasked(f"{where} needs a kind")
    route, headers = entry.get("route", ""), entry.get("headers", {})
    if not isinstance(route, str) or (mode is Mode.INJECTED) != bool(route):
        raise Misasked(f"{where} needs a route where it is injected, and has none where it isn't")
    options = entry.get("options", {})
    if not isinstance(options, Mapping):
        raise Misasked(f"{where} has options that are no table")
    return Wanted(
        name=name,
        kind=kind,
        mode=mode,
        purpose=str(entry.get("purpose", "")),
        route=route,
        headers=_headers(where, mode, headers),
        options=dict(options),
        reads=entry.get("reads") is True,
        builds=_builds(where, mode, entry.get("builds")),
    )


def _builds(where: str, mode: Mode, builds: object) -> bool:
    if builds is True and mode is Mode.HANDED:
        raise Misasked(f"{where} is handed, so no build has it: it would stay in the template")
    return builds is True


def _headers(where: str, mode: Mode, headers: object) -> Mapping[str, str]:
    if not isinstance(headers, Mapping):
        raise Misasked(f"{where} has headers that are no table")
    if mode is Mode.INJECTED and not headers:
        raise Misasked(f"{where} needs headers: what is added to requests on its route")
    for name, template in headers.items():
        if not HEADER.fullmatch(str(name)) or not isinstance(template, str):
            raise Misasked(f"{where} has a header {str(name)[:40]!r} that can't be one")
        try:
            fields = list(string.Formatter().parse(template))
        except ValueError:
            raise Misasked(f"{where} has a header {name} with a brace too many") from None
        if not any(field for _, field, _, _ in fields):
            raise Misasked(f"{where} has a header {name} without a value such as {{token}}")
    return {str(name): str(template) for name, template in headers.items()}


def filled(wanted: Wanted, values: Mapping[str, SecretStr]) -> dict[str, str]:
    """The headers of an injected grant, with its values in place.

    :raises Misasked: it has no such value, or one that can't be in a header
    """
    return {name: _filled(wanted, name, values) for name in wanted.headers}


def _filled(wanted: Wanted, header: str, values: Mapping[str, SecretStr]) -> str:
    parts = []
    for text, field, _, _ in string.Formatter().parse(wanted.headers[header]):
        parts.append(text)
        if field is None:
            continue
        if field not in values:
            raise Misasked(f"the grant {wanted.name} has no value {field[:40]!r}")
        parts.append(values[field].get_secret_value())
    whole = "".join(parts)
    if not whole.isascii() or not whole.isprintable():
        raise Misasked(f"a value of the grant {wanted.name} can't stand in the header {header}")
    return whole
