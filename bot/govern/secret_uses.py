"""By which grants of a project's policy a secret is used; pure."""

import string
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bot.govern.policy_text import UPSTREAM, Document, Grant


@dataclass(frozen=True, kw_only=True)
class Use:
    """A grant that is a secret's value."""

    grant: str
    route: str
    """Path at the gateway to whose requests it is added."""
    missing: tuple[str, ...] = ()
    """What its headers ask for and the secret has not."""

    @property
    def told(self) -> str:
        """One clause."""
        lacks = ", ".join(f"{{{one}}}" for one in self.missing)
        wrong = f", but its headers ask for {lacks}, which the secret has not" if lacks else ""
        return f"grant {self.grant} on route {self.route}{wrong}"


def uses(
    document: Document, path: str, *, project: str, mount: str, fields: Collection[str]
) -> list[Use]:
    """The grants of a policy that are the secret at a path of the KV engine.

    :param fields: the keys of its value; empty: not known
    """
    return [
        Use(
            grant=name,
            route=grant.route if grant.route.startswith("/") else f"{UPSTREAM}/{grant.route}/",
            missing=tuple(sorted(set(_asked(grant)) - set(fields))) if fields else (),
        )
        for name, grant in document.grants.items()
        if grant.kind == "kv"
        and grant.options.get("path", f"projects/{project}/{name}") == path
        and grant.options.get("mount", mount) == mount
    ]


def _asked(grant: Grant) -> Iterator[str]:
    """The values that its headers name; a template that can't be read names none."""
    for template in grant.headers.values():
        try:
            yield from (field for _, field, _, _ in string.Formatter().parse(template) if field)
        except ValueError:
            continue
