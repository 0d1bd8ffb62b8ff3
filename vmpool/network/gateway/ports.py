"""What the gateway is given from above, and what it tells: identities, access, events, names."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from vmpool.network.policy import Policy

if TYPE_CHECKING:
    from vmpool.network.gateway.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose machine it is that asks; told by the socket it asks on, never by what it says."""

    machine: UUID
    session: UUID | None = None
    """None: it waits, or a template is being made of it."""
    project: UUID | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What a machine may reach at this moment."""

    policy: Policy = field(default_factory=Policy)
    routes: "tuple[Route, ...]" = ()
    who: Identity | None = None
    """Whose the machine is by now; None: whose it was. A machine that waits is claimed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One decision of the gateway, for the audit."""

    who: Identity
    way: str
    """How it was asked for: `connect`, `http`, `tls`, `tcp`, `dns` or `route`."""
    host: str
    port: int
    allowed: bool
    reason: str
    rule: str | None = None
    """The line that decided, and where it stands."""
    address: str | None = None
    """Where the host was connected to."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


Accesses = Callable[[Identity], Awaitable[Access]]
"""Asked for every connection and request, so that what is denied is denied at once."""
Audit = Callable[[Event], None]
"""Must not block; whoever takes events writes them down later."""

Asks = Callable[[Identity, str, int], Awaitable[str]]
"""Told of a normalised host and port that no line of a policy says anything of, so that people can
be asked; what the machine is told besides, "" if nobody is. Bounded in time, and never raises."""


async def asks_nobody(_who: Identity, _host: str, _port: int) -> str:
    """Where no people are asked."""
    return ""


class Names(Protocol):
    """Remembers the names that a machine was given addresses for, in a place that outlives us."""

    async def known(self, machine: UUID) -> Mapping[str, int]:
        """All names of a machine, each with its number."""

    async def add(self, machine: UUID, name: str) -> int:
        """The number of a name, a new one if it had none: 0, 1, 2, … within one machine.

        No number is ever given to two names of a machine, whoever asks at the same time.
        """


class NoTurn(Exception):
    """No turn is running in the session, so there is nothing that could be injected."""


class Suspended(NoTurn):
    """The session's turn rests, and may go on: what it asks for may wait."""

    def __init__(self, why: str, *, turn: UUID) -> None:
        super().__init__(why)
        self.turn = turn


class Ungranted(NoTurn):
    """A turn is running that has no credentials: none at all, or not yet again after a rest."""


class Refused(Exception):
    """The policy says no; the text is its sentence."""


class Unreachable(Exception):
    """It is allowed, and could not be reached; the text is one sentence."""

    def __init__(self, why: str, *, late: bool = False) -> None:
        super().__init__(why)
        self.late = late
