"""What the gateway adds to requests: kept in the memory of the worker that runs the turn.

It is there from when a turn has its grants until they are given up. Between turns nobody gets
anything, so that what one person left running can't act in another one's turn. The same goes for a
machine that becomes a template: it has what its build has, by its own id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

Headers = Mapping[str, SecretStr]


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A grant whose values are added: what of it may be said."""

    id: UUID
    """Of its row."""
    kind: str
    name: str


class NoGrants(Exception):
    """No turn or build has its grants there now."""


@dataclass(frozen=True)
class _Has:
    """What one run of a turn, or one build, has."""

    turn: object
    routes: Mapping[str, Headers]
    behind: Mapping[str, Sequence[Behind]]


class TurnGrants:
    """The injected grants of the turns and builds that run in this process."""

    def __init__(self) -> None:
        self._has: dict[UUID, _Has] = {}

    async def injected(self, key: UUID, route: str) -> Mapping[str, str]:
        """The headers that requests on a route get now; none: nothing is for it.

        :param key: of the session, or of a machine that has none yet
        :raises NoGrants: no turn or build of it has its grants
        """
        found = self._has.get(key)
        if found is None:
            raise NoGrants(f"nothing has its grants now for {key}")
        added = found.routes.get(route, {})
        return {name: value.get_secret_value() for name, value in added.items()}

    def behind(self, key: UUID, route: str) -> Sequence[Behind]:
        """The grants whose values requests on a route get now."""
        found = self._has.get(key)
        return () if found is None else found.behind.get(route, ())

    def put(
        self,
        key: UUID,
        turn: object,
        routes: Mapping[str, Headers],
        behind: Mapping[str, Sequence[Behind]] | None = None,
    ) -> None:
        """From now on this run of a turn, or this build, has these, by route.

        :param behind: the grants that they are of, by route
        """
        self._has[key] = _Has(turn, routes, behind or {})

    def drop(self, key: UUID, turn: object) -> None:
        """A run of a turn gives up what it has; a later one keeps its own."""
        found = self._has.get(key)
        if found is not None and found.turn is turn:
            del self._has[key]
