"""What to do with machines, decided from what is known; pure.

Nothing here looks at a clock, a disk or a database: the caller does, and acts on the answer.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from vmpool.driver import Found
from vmpool.machine import MachineState


class Remedy(enum.StrEnum):
    """What reconcile does about one machine."""

    NONE = "none"
    """Row and host agree."""
    ADOPT = "adopt"
    """It runs and an earlier process of ours started it: watch it, let it go on."""
    RESTED = "rested"
    """The row was on its way; a complete rest is there."""
    LOSE = "lose"
    """Its memory is gone: tell its session, then remove what is left."""
    REMOVE = "remove"
    """Finish a removal, or remove what no row owns."""
    GONE = "gone"
    """The row still waits for a removal that is done."""


def remedy(state: MachineState | None, found: Found, broken: str | None) -> Remedy:
    """What to do about a machine whose row says `state` (None: no row) and which was `found`."""
    if state is None:
        return Remedy.REMOVE if found is not Found.ABSENT else Remedy.NONE
    match state:
        case MachineState.GONE:
            return Remedy.REMOVE if found is not Found.ABSENT else Remedy.NONE
        case MachineState.LOST | MachineState.REMOVING:
            return Remedy.REMOVE if found is not Found.ABSENT else Remedy.GONE
        case (
            MachineState.CREATING
            | MachineState.STARTING
            | MachineState.RUNNING
            | MachineState.HIBERNATING
            | MachineState.RESTING
        ):
            return _alive(state, found, broken)
        case _:
            assert_never(state)


def _alive(state: MachineState, found: Found, broken: str | None) -> Remedy:
    match found:
        case Found.RUNNING:
            return Remedy.LOSE if broken else Remedy.ADOPT
        case Found.RESTING:
            if broken:
                return Remedy.LOSE
            return Remedy.NONE if state is MachineState.RESTING else Remedy.RESTED
        case Found.STOPPED | Found.ABSENT:
            return Remedy.LOSE
        case _:
            assert_never(found)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A machine as far as room and idleness go."""

    id: UUID
    state: MachineState
    used_at: datetime
    in_use: bool
    """A turn holds it open now."""


_TAKES_ROOM = frozenset(
    {
        MachineState.CREATING,
        MachineState.STARTING,
        MachineState.RUNNING,
        MachineState.HIBERNATING,
    }
)


@dataclass(frozen=True, kw_only=True)
class Room:
    """Whether one more machine may run, and who has to rest for it."""

    free: bool
    evict: tuple[UUID, ...] = ()
    """Who may make way, the one that was idle longest first: any of them may refuse."""


def room(machines: Iterable[Standing], running_max: int) -> Room:
    """Whether one more fits; if not, a machine that nobody uses makes way."""
    live = [machine for machine in machines if machine.state in _TAKES_ROOM]
    if len(live) < running_max:
        return Room(free=True)
    idle = [m for m in live if m.state is MachineState.RUNNING and not m.in_use]
    idle.sort(key=lambda machine: machine.used_at)
    return Room(free=False, evict=tuple(machine.id for machine in idle))


def idle(machines: Iterable[Standing], now: datetime, idle_seconds: float) -> list[UUID]:
    """Running machines that nobody used for `idle_seconds`."""
    limit = now - timedelta(seconds=idle_seconds)
    return [
        machine.id
        for machine in machines
        if machine.state is MachineState.RUNNING and not machine.in_use and machine.used_at <= limit
    ]


def expired(machines: Iterable[Standing], now: datetime, retention_days: float) -> list[UUID]:
    """Resting machines that nobody used for `retention_days`: only the checkpoint is kept."""
    limit = now - timedelta(days=retention_days)
    return [
        machine.id
        for machine in machines
        if machine.state is MachineState.RESTING and machine.used_at <= limit
    ]
