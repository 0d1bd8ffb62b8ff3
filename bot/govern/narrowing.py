"""What of a project's grants a turn gets that may only read; pure.

A token of a code host is asked for with the rights to read alone. What another issuer's credential
can do we can't tell, so that one is left out unless its policy says that it `reads`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from adapters.forge.gitlab.levels import REPORTER
from adapters.vault.port import Wanted

READS = "read"
"""The level of every permission at GitHub that changes nothing."""
GITLAB_READS: Mapping[str, str] = {
    "api": "read_api",
    "write_repository": "read_repository",
    "write_registry": "read_registry",
    "read_api": "read_api",
    "read_repository": "read_repository",
    "read_registry": "read_registry",
}
"""By a scope at GitLab: the one that reads the same."""
WRITE_ONLY = frozenset({"workflows"})
"""Permissions at GitHub that nothing can be read with."""


def narrowed(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """The same without what could change anything."""
    return tuple(one for one in map(_narrowed, wanted) if one is not None)


def _narrowed(wanted: Wanted) -> Wanted | None:
    match wanted.kind:
        case "github":
            return _with(wanted, "permissions", _permissions(wanted.options.get("permissions")))
        case "gitlab":
            scopes = _with(wanted, "scopes", _scopes(wanted.options.get("scopes")))
            return None if scopes is None else _with(scopes, "level", _level(scopes))
    return wanted if wanted.reads else None


def _with(wanted: Wanted, name: str, value: object) -> Wanted | None:
    """The same with an option; None: nothing of it is left."""
    return replace(wanted, options={**wanted.options, name: value}) if value else None


def _permissions(given: object) -> Mapping[str, str]:
    names = given if isinstance(given, Mapping) else {}
    return {str(name): READS for name in names if name not in WRITE_ONLY}


def _scopes(given: object) -> list[str]:
    if given is None:
        return ["read_repository"]
    scopes = given if isinstance(given, list | tuple) else []
    return list(dict.fromkeys(GITLAB_READS[one] for one in scopes if one in GITLAB_READS))


def _level(wanted: Wanted) -> int:
    level = wanted.options.get("level")
    return min(level, REPORTER) if isinstance(level, int) else REPORTER
