"""The port of credentials: what is asked for, what is issued, and how that ends.

    Wanted ──issue──▶ Issued ──renew──▶ … ──revoke──▶ refused by its issuer
                        │
                        └─ values: in this process's memory only; the trace is what is written down

A grant is *injected* or *handed*. An injected one is added to requests on the host by the gateway,
and never is in a machine. A handed one must be inside: it lies on tmpfs and is revoked before the
machine rests.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from uuid import UUID

from pydantic import SecretStr

from adapters.chat.port import Deadline


class Mode(enum.StrEnum):
    """Where a grant is used."""

    INJECTED = "injected"
    """Outside the machine, by the gateway."""
    HANDED = "handed"
    """Inside it."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One grant that a project's turns get."""

    name: str
    """Its own within the project: small letters, digits, dashes."""
    kind: str
    """Of its issuer: `kv`, `database`, `ssh`, `github`, `gitlab`, `identity`, …"""
    mode: Mode
    purpose: str = ""
    """What it is for, in words for people."""
    route: str = ""
    """Of an injected one: the gateway's route to whose requests it is added."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of an injected one: header → template in which `{name}` is one of its values."""
    options: Mapping[str, object] = field(default_factory=dict)
    """What the issuer has to know; each says which."""
    reads: bool = False
    """Nothing can be changed with it: turns that may only read get it too."""
    builds: bool = False
    """Of an injected one: the build of a template gets it too, until its machine is frozen."""


@dataclass(frozen=True, kw_only=True)
class Bearer:
    """Whose turn it is: what policies, tokens and audit tell sessions apart by."""

    session_id: UUID
    """Of a build: its template's."""
    session: str
    """The short id that people see."""
    project: str
    person: str
    """Id of who asked; empty: nobody did."""
    repository: str = ""
    environment: str = ""


@dataclass(frozen=True, kw_only=True)
class TurnToken:
    """The child token of a turn: parent of every lease of it."""

    token: SecretStr
    accessor: str
    entity_id: str
    seconds: float
    """It lives so long from when it was asked for, unless it is renewed."""


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A credential and how it ends; only `trace` is ever written down."""

    values: Mapping[str, SecretStr]
    seconds: float
    """Its issuer refuses it so long after it was asked for."""
    renewable: bool = False
    """Whether its issuer, which `Renews`, lets it live on; else another one has to be issued."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """What its issuer needs to end it: a lease, an accessor, a number. Never a value."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One grant to be issued."""

    id: UUID
    """Of its row, which is written before: an issuer that can, names the credential by it."""
    wanted: Wanted
    bearer: Bearer
    token: TurnToken


@dataclass(frozen=True, kw_only=True)
class Trail:
    """What was written down of a grant, by which its issuer finds it again."""

    id: UUID
    options: Mapping[str, object] = field(default_factory=dict)
    """As they were asked for."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """As it was issued; empty: it may or may not have been."""


class Issuer(Protocol):
    """Issues grants of one kind; further engines are further ones of these."""

    @property
    def modes(self) -> frozenset[Mode]:
        """In which its grants may be used."""
        ...

    @property
    def by_token(self) -> bool:
        """Whether they end with the turn's token, so that ending that is enough."""
        ...

    @property
    def seconds_max(self) -> float:
        """None of its grants that nobody renews works longer; infinite: they have no time."""
        ...

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        """Issue one. :raises VaultError:"""
        ...

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        """See that its issuer refuses the credential; done before is done.

        :returns: False: only time ends it
        :raises VaultError: not known; ask again
        """
        ...


@runtime_checkable
class Renews(Protocol):
    """An issuer whose grants can be made to live on; of all others another one is issued."""

    async def renew(self, issued: Issued, deadline: Deadline) -> Issued:
        """Let one live on; asked only for those that say `renewable`. :raises VaultError:"""
        ...


ANY_MODE = frozenset(Mode)
ONLY_INJECTED = frozenset({Mode.INJECTED})
ONLY_HANDED = frozenset({Mode.HANDED})
