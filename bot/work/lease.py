"""What the holder of a session's lease knows: the lease, the turn, what a person asked for.

A holder counts its lease from before the request that got it, on CLOCK_BOOTTIME, which goes on
while the host sleeps; it stops acting when its count ends, though nobody may have taken the lease
yet. Only the database decides who holds: a late holder's writes find another token and fail.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from adapters.chat.incoming import Quoted
from bot.work.queue import LeaseKey, LeaseLost


def boot_seconds() -> float:
    """Seconds since boot, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(kw_only=True)
class TurnClock:
    """How long a turn has run, under this holder and those before."""

    turn_id: UUID
    before_seconds: float
    since: float = field(default_factory=time.monotonic)

    @property
    def ran_seconds(self) -> float:
        """Until now; the time nobody held it is not counted."""
        return self.before_seconds + time.monotonic() - self.since


@dataclass(kw_only=True)
class Lease:
    """The right to work on a session, as its holder sees it."""

    key: LeaseKey
    short: str
    project_id: UUID
    agent: str
    model: str | None
    branch: str
    base_branch: str | None
    host_id: UUID | None
    until: float
    """On `boot_seconds`; past it the holder must not act."""
    waited_seconds: float
    lost: bool = False
    clock: TurnClock | None = None
    """Of the turn that runs under it."""

    @property
    def session_id(self) -> UUID:
        """The session that is held."""
        return self.key.session_id

    @property
    def left_seconds(self) -> float:
        """Time left to act; not positive when it ran out or was lost."""
        return 0.0 if self.lost else self.until - boot_seconds()

    def must_last(self) -> None:
        """What reaches beyond the database is done under a lease that has not run out.

        :raises LeaseLost:
        """
        if self.left_seconds <= 0:
            raise LeaseLost("the lease ran out")


@dataclass(frozen=True, kw_only=True)
class OpenTurn:
    """A turn under way: begun now, or left by an earlier holder."""

    id: UUID
    prompt_id: UUID
    kind: str
    text: str
    """The prompt's."""
    machine_id: UUID | None
    cursor: Mapping[str, Any] = field(default_factory=dict)
    quoted: tuple[Quoted, ...] = ()
    """What was said in the thread before the prompt."""
    files: int = 0
    """How many came with it."""
    kept_back: bool = False
    """What it leaves is delivered by a later turn of the kind `deliver`."""
    batches: int = 0
    """How many batches of its events were written."""
    unreached: int = 0
    """How often in a row its machine took no word about its job."""
    ran_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class StopRequest:
    """A person asked the running turn to end."""

    by: UUID
    name: str
    why: str
    """`stop`, or `now` when another prompt goes first; of a halt what is halted, by whom, why."""
    hold: bool
    halt: bool = False
    """An operator halted more than this session."""


@dataclass(frozen=True, kw_only=True)
class Due:
    """What a session's new holder finds to do."""

    stop: StopRequest | None
    turn: OpenTurn | None
    """Left open by an earlier holder."""
    prompt_waits: bool
    """It may still be joined, edited or cancelled."""
