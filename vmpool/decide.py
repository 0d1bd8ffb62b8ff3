"""What to do with machines, decided from what is known; pure.

Nothing here looks at a clock, a disk or a database: the caller does, and acts on the answer.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from vmpool.driver import Found
from vmpool.machine import Machine, MachineState


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
            | MachineState.PAUSED
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
        case Found.UNSEEN:
            return Remedy.NONE
        case _:
            assert_never(found)


def is_new(machine: Machine) -> bool:
    """Whether it was never up: it is being made, or booted for the first time.

    No session ever had it, so none has lost anything with it.
    """
    if machine.state is MachineState.STARTING:
        # A clone begins with the memory of its template.
        return machine.generation == 1 and machine.template_id is None
    return machine.state is MachineState.CREATING


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A machine as far as room and idleness go."""

    id: UUID
    state: MachineState
    used_at: datetime
    in_use: bool
    """A turn holds it open now, or somebody makes something of it."""
    lingers: bool = False
    """It is being removed, and its process did not end."""
    waits: bool = False
    """It works for nobody yet."""
    yields: bool = False
    """It works for an automation: people go before."""
    memory_mib: int
    """That its guest has."""
    private_mib: int | None = None
    """That it really took, when that was measured last."""
    worth: float = 0.0
    """How much one that waits is expected to be used, per MiB; see `vmpool.warm.plan`."""


TAKES_ROOM = frozenset(
    {
        MachineState.CREATING,
        MachineState.STARTING,
        MachineState.RUNNING,
        MachineState.PAUSED,
        MachineState.HIBERNATING,
    }
)
HYPERVISOR_MIB = 64
"""What a machine takes beside its guest's memory: the hypervisor's own, page tables, buffers."""
RESERVE_SHARE = 0.15
RESERVE_MIB_MIN = 1024
"""Of the host's memory, for everything that is no machine."""
_WAITS = frozenset({MachineState.PAUSED, MachineState.RESTING})
DISK_SHORT_MIB = 1024
"""Left of the disk: below that a resting machine is deleted every few seconds."""
PRESSURE_SHARE = 0.05
PRESSURE_MIB_MIN = 384
"""Left of the host's memory: below that a machine makes way every few seconds."""


def takes_room(state: MachineState) -> bool:
    """Whether a machine in this state takes memory of the host."""
    return state in TAKES_ROOM


def _live(machines: Iterable[Standing]) -> list[Standing]:
    return [machine for machine in machines if machine.state in TAKES_ROOM or machine.lingers]


def memory_budget(total_mib: int) -> int:
    """What machines may take of a host with so much memory."""
    return max(0, total_mib - max(RESERVE_MIB_MIN, int(total_mib * RESERVE_SHARE)))


def charge(machine: Standing) -> int:
    """How much of the host's memory a machine is counted with, in MiB.

    One that stands still takes what it took. One that runs may take all that its guest has, and
    does so when nobody looks: it is counted whole.
    """
    if machine.state is MachineState.PAUSED and machine.private_mib is not None:
        return machine.private_mib
    return machine.memory_mib + HYPERVISOR_MIB


@dataclass(frozen=True, kw_only=True)
class Room:
    """Whether one more machine may run, and who has to rest for it."""

    free: bool
    evict: tuple[UUID, ...] = ()
    """Who may make way, the first one first: any of them may refuse."""
    why: str = ""
    """Why it is not free, in one sentence."""


def room(
    machines: Iterable[Standing],
    memory_mib: int,
    running_max: int,
    memory_mib_max: int,
    *,
    leave: int = 0,
) -> Room:
    """Whether one more with this memory fits; if not, one that works for nobody makes way, the
    one that is worth least first, then the one that nobody used for longest, automations' first.

    A single machine is never refused for its memory: it would never run at all.

    :param leave: machines of the same size that must still find room afterwards, if need be by
        others making way; 0 for whom they are left
    """
    live = _live(machines)
    if leave and not _leaves(live, leave, memory_mib, running_max, memory_mib_max):
        return Room(free=False, why=f"what is left of this host is kept for people ({leave})")
    taken = sum(map(charge, live))
    fits = not live or taken + memory_mib + HYPERVISOR_MIB <= memory_mib_max
    if len(live) < running_max and fits:
        return Room(free=True)
    if len(live) >= running_max:
        why = f"{len(live)} of {running_max} machines of this host are in use"
    else:
        why = f"machines of this host take {taken} of {memory_mib_max} MiB"
    return Room(free=False, evict=make_way(live), why=why)


def _leaves(
    live: Sequence[Standing], leave: int, memory_mib: int, running_max: int, memory_mib_max: int
) -> bool:
    going = set(make_way(live))
    busy = [machine for machine in live if machine.id not in going]
    each = memory_mib + HYPERVISOR_MIB
    fits = not busy or sum(map(charge, busy)) + each * (1 + leave) <= memory_mib_max
    return fits and len(busy) + 1 + leave <= running_max


def make_way(machines: Iterable[Standing]) -> tuple[UUID, ...]:
    """Who may go when something is short: what waits, the least worth first and of those made last
    first; then who is idle, those of automations before those of people, the longest idle first.
    """
    machines = list(machines)
    free = [machine for machine in machines if not machine.in_use]
    waiting = [m for m in free if m.waits and m.state is MachineState.PAUSED]
    waiting.sort(key=lambda machine: machine.used_at, reverse=True)
    waiting.sort(key=lambda machine: machine.worth)
    idle = [m for m in free if m.state is MachineState.RUNNING and not m.waits]
    idle.sort(key=lambda machine: (not machine.yields, machine.used_at))
    return tuple(machine.id for machine in [*waiting, *idle])


def give_up(machines: Iterable[Standing]) -> tuple[UUID, ...]:
    """Whose files may go when the disk is nearly full: what waits, the least worth first, then who
    rested longest.

    What a session kept is in its checkpoint, elsewhere; what runs is never among them.
    """
    free = [machine for machine in machines if not machine.in_use]
    waiting = [m for m in free if m.waits and m.state in _WAITS]
    resting = [m for m in free if m.state is MachineState.RESTING and not m.waits]
    waiting.sort(key=lambda machine: machine.worth)
    ordered = [*waiting, *sorted(resting, key=lambda machine: machine.used_at)]
    return tuple(machine.id for machine in ordered)


def is_disk_short(free_mib: int) -> bool:
    """Whether so little of the disk is left that files should go before something running fails."""
    return free_mib < DISK_SHORT_MIB


def is_pressed(total_mib: int, available_mib: int) -> bool:
    """Whether so little memory is left that machines should rest before the kernel chooses."""
    return available_mib < max(PRESSURE_MIB_MIN, total_mib * PRESSURE_SHARE)


@dataclass(frozen=True, kw_only=True)
class Spare:
    """What is left of a host."""

    memory_mib: int
    """Negative: too much is taken."""
    machines: int


def spare(machines: Iterable[Standing], running_max: int, memory_mib_max: int) -> Spare:
    """What machines that wait may still take; one place is always kept for a session."""
    live = _live(machines)
    return Spare(
        memory_mib=memory_mib_max - sum(map(charge, live)),
        machines=running_max - 1 - len(live),
    )


def idle(machines: Iterable[Standing], now: datetime, idle_seconds: float) -> list[UUID]:
    """Running machines that nobody used for `idle_seconds`."""
    limit = now - timedelta(seconds=idle_seconds)
    return [
        machine.id
        for machine in machines
        if machine.state is MachineState.RUNNING
        and not machine.in_use
        and not machine.waits
        and machine.used_at <= limit
    ]


def expired(machines: Iterable[Standing], now: datetime, retention_days: float) -> list[UUID]:
    """Resting machines that nobody used for `retention_days`: only the checkpoint is kept."""
    limit = now - timedelta(days=retention_days)
    return [
        machine.id
        for machine in machines
        if machine.state is MachineState.RESTING and not machine.waits and machine.used_at <= limit
    ]
