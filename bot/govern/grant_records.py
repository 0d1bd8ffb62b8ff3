"""What is known of grants, and of whoever holds them, between the table and who decides.

A grant is *held* while the lease of its session is the one under which it was issued, or while its
template is being built.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from adapters.vault.port import Wanted
from bot.store.ids import new_id


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The lease under which grants are issued."""

    session_id: UUID
    owner: str
    token: int

    @property
    def parameters(self) -> dict[str, Any]:
        """Those by which a statement checks that it is held."""
        return {
            "session": self.session_id,
            "owner": self.owner,
            "token": self.token,
            "template": None,
        }

    @property
    def key(self) -> UUID:
        """By which the gateway finds what it has."""
        return self.session_id

    @property
    def bearer_id(self) -> UUID:
        """By which Vault knows it."""
        return self.session_id


@dataclass(frozen=True, kw_only=True)
class BuildHolder:
    """The build of a template, under which grants are issued."""

    template_id: UUID
    machine_id: UUID
    """Which becomes the template."""

    @property
    def parameters(self) -> dict[str, Any]:
        """Those by which a statement checks that it is held."""
        return {"session": None, "owner": "", "token": 0, "template": self.template_id}

    @property
    def key(self) -> UUID:
        """By which the gateway finds what it has: the machine works for no session yet."""
        return self.machine_id

    @property
    def bearer_id(self) -> UUID:
        """By which Vault knows it."""
        return self.template_id


class NotHeld(Exception):
    """Somebody else holds the session now, or the build is over: nothing may be issued."""


@dataclass(frozen=True, kw_only=True)
class Whose:
    """What a session's next turn is about."""

    short: str
    project: str
    repository: str
    beside: Sequence[str]
    """Addresses of the project's other repositories."""
    grants: Sequence[Mapping[str, object]]
    """What the newest policy of its project declares, as `adapters.vault.wanted` reads it."""
    prompt_id: UUID | None
    person_id: UUID | None
    read_only: bool = False
    """The turn changes nothing outside of its machine."""
    builds: bool = False
    """It is the build of a template, no turn."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A grant about to be issued."""

    id: UUID = field(default_factory=new_id)
    kind: str
    wanted: Wanted | None = None
    """None: it is the turn's own token."""
    seconds: float | None = None
    """It lives no longer, when nobody hears of it any more."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What is written down of an issued grant."""

    id: UUID
    trace: Mapping[str, str]
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Stale:
    """A grant that no lease holds any more."""

    id: UUID
    kind: str
    options: Mapping[str, object]
    trace: Mapping[str, str]
    over: bool
    """Its time has passed."""
    long_over: bool
    """So has that of a renewal which nobody came to write down."""
