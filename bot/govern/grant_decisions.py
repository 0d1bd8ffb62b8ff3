"""What a turn or a build gets, when it has to be renewed, and what is added by it; pure.

`issuance` asks here and acts.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from adapters.vault import wanted as wanting
from adapters.vault.errors import Misasked
from adapters.vault.port import Issued, Issuer, Mode, TurnToken, Wanted
from adapters.vault.tokens import UNWRITTEN_SECONDS
from bot.govern.grant_records import Planned, Recorded, Whose
from bot.govern.narrowing import narrowed
from bot.govern.turn_grants import Behind, Headers
from bot.words.catalogue import alternatives
from bot.words.catalogue import gettext as _

Handed = Mapping[str, Headers]
"""By the name of the grant: what lies in the machine."""
Own = Callable[[Sequence[str]], Sequence[Wanted]]
"""What is granted for repositories, by their addresses, though no policy declares it."""


@dataclass(kw_only=True)
class Living:
    """A grant that works."""

    row: UUID
    wanted: Wanted
    issuer: Issuer
    issued: Issued
    due: float
    """On `monotonic`: when it has to be renewed, or another one issued."""


def wanted_by(whose: Whose, own: Own) -> tuple[Sequence[Wanted], Sequence[Wanted]]:
    """What is declared for the turn, and what it gets where nothing is declared instead.

    :raises Misasked: what is declared can't be read
    """
    declared = wanting.read(whose.grants)
    if whose.builds:
        return [one for one in declared if one.builds], []
    taken = {one.route for one in declared}
    urls = [whose.repository, *whose.beside]
    left = [one for one in own(urls) if one.route not in taken]
    if whose.read_only:
        return narrowed(declared), [one for one in left if narrowed([one]) == (one,)]
    return declared, left


def issuer_of(wanted: Wanted, issuers: Mapping[str, Issuer]) -> Issuer:
    """Who issues it. :raises Misasked: nobody does, or not for such a use"""
    issuer = issuers.get(wanted.kind)
    if issuer is None:
        kinds = ", ".join(sorted(issuers))
        raise Misasked(
            _(
                "the grant {name} is of kind {kind}; there are {kinds}",
                name=wanted.name,
                kind=wanted.kind,
                kinds=kinds,
            )
        )
    if wanted.mode not in issuer.modes:
        may = alternatives(sorted(issuer.modes))
        raise Misasked(_("the grant {name} can only be {modes}", name=wanted.name, modes=may))
    return issuer


def planned_token() -> Planned:
    """The turn's own token, as it is written down before it is asked for."""
    return Planned(kind="token", seconds=UNWRITTEN_SECONDS)


def recorded_token(row: UUID, token: TurnToken) -> Recorded:
    """What is written down of a turn's token: by what it is ended, never itself."""
    return Recorded(id=row, trace={"accessor": token.accessor}, seconds=token.seconds)


def planned(wanted: Wanted, issuer: Issuer) -> Planned:
    """A grant, as it is written down before it is asked for."""
    # What nobody wrote down ends with a token that nobody extends.
    seconds = UNWRITTEN_SECONDS if issuer.by_token else issuer.seconds_max
    return Planned(kind=wanted.kind, wanted=wanted, seconds=finite(seconds))


def due(issued: Issued, began: float) -> float:
    """When something has to be done for it: early enough to try again."""
    return began + issued.seconds * (1 / 3 if issued.renewable else 2 / 3)


def lives_on(renewed: Issued, before: Issued) -> bool:
    """Whether a renewal is one: what comes near its maximum gets less each time."""
    return renewed.seconds > before.seconds / 2


def handed(living: Iterable[Living]) -> Handed:
    """What has to lie in the machine."""
    return {one.wanted.name: one.issued.values for one in living if one.wanted.mode is Mode.HANDED}


def routes(living: Iterable[Living]) -> Mapping[str, Headers]:
    """The headers that are added, by route. :raises Misasked: a template doesn't fit"""
    found: dict[str, dict[str, SecretStr]] = {}
    for one in _injected(living):
        headers = wanting.filled(one.wanted, one.issued.values)
        added = {name: SecretStr(value) for name, value in headers.items()}
        found.setdefault(one.wanted.route, {}).update(added)
    return found


def behind(living: Iterable[Living]) -> Mapping[str, Sequence[Behind]]:
    """The grants whose values are added, by route."""
    found: dict[str, list[Behind]] = {}
    for one in _injected(living):
        told = Behind(id=one.row, kind=one.wanted.kind, name=one.wanted.name)
        found.setdefault(one.wanted.route, []).append(told)
    return found


def finite(seconds: float) -> float | None:
    """How long it lives, as it is written down; None: it has no time."""
    return None if math.isinf(seconds) else seconds


def _injected(living: Iterable[Living]) -> Iterable[Living]:
    return (one for one in living if one.wanted.mode is Mode.INJECTED)
