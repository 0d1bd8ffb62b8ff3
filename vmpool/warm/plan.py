"""What to do about the machines that wait on a host, decided from what is known; pure.

    targets (vmpool.warm.sizing) ──┐
    machines that wait ────────────┼──▶ plan ──▶ remove · heat · clone, in the order of their worth
    room: memory, machines ────────┘

Hot machines take memory and cold ones only disk, so memory goes where a hot machine is expected
to be used most per byte; what is worth less makes way. Nothing here looks at a clock or a table.
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

DWELL_SECONDS = 60.0
"""A hot machine that is one too many stays so long: targets move, and the next claim may come."""


class Stage(enum.StrEnum):
    """How far a machine that waits is."""

    MAKING = "making"
    """Being cloned or heated: it will be cold or hot soon."""
    COLD = "cold"
    HOT = "hot"
    STRANDED = "stranded"
    """It is up and nobody makes anything of it: its maker ended."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One machine that waits."""

    id: UUID
    template_id: UUID
    stage: Stage
    seconds: float
    """For how long it has been in this stage."""
    heating: bool = False
    """Being made hot, not cold."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One pool: what it should hold, and of which template."""

    template_id: UUID | None
    """Of which machines are made; None: there is none yet."""
    retired: frozenset[UUID] = frozenset()
    hot: int
    """Machines that should be hot."""
    cold: int
    """Machines that should be cold besides."""
    claims_per_hour: float
    """Expected; what eviction goes by."""
    memory_mib: int
    """What a hot machine takes, as measured, else as guessed."""
    held: bool = False
    """Nothing is made now: it failed lately."""

    @property
    def worth(self) -> float:
        """Expected use of a hot machine per MiB."""
        return self.claims_per_hour / max(1, self.memory_mib)


@dataclass(frozen=True, kw_only=True)
class Room:
    """What machines that wait may still take of the host."""

    memory_mib: int
    """May be negative: sessions took more meanwhile."""
    machines: int
    """That may be up besides."""
    disk: bool
    """Whether there is room for one more on disk."""


def lacks(room: Room) -> str | None:
    """What of the host keeps machines from being made, for a person; None: nothing."""
    if room.machines < 1:
        return "as many machines are up as may be at once, but for one place kept for a session"
    if room.memory_mib <= 0:
        return "the memory for machines is used up"
    if not room.disk:
        return "the disk is nearly full"
    return None


class Do(enum.StrEnum):
    """What is done to a machine, or for a pool."""

    REMOVE = "remove"
    HEAT = "heat"
    CLONE = "clone"


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do now."""

    do: Do
    subject: UUID
    """Machine, or for `clone` the template."""
    why: str


@dataclass(kw_only=True)
class _Count:
    hot: list[Waiting] = field(default_factory=list)
    cold: list[Waiting] = field(default_factory=list)
    heating: int = 0
    cloning: int = 0

    @property
    def all(self) -> int:
        return len(self.hot) + len(self.cold) + self.heating + self.cloning


def plan(pools: Iterable[Pool], waiting: Iterable[Waiting], room: Room) -> list[Action]:
    """Say what to do now, the most urgent first. Repeated until it says nothing."""
    pools = sorted(pools, key=lambda pool: pool.worth, reverse=True)
    counts: dict[UUID, _Count] = {}
    actions: list[Action] = []
    for machine in waiting:
        if machine.stage is Stage.STRANDED:
            actions.append(_remove(machine, "whoever made it ended"))
        else:
            _count(counts.setdefault(machine.template_id, _Count()), machine)
    actions += _of_nobody(pools, counts)
    actions += [action for pool in pools for action in _surplus(pool, counts)]
    gone = {action.subject for action in actions}
    return actions + _wanted(pools, counts, room, gone)


def _count(count: _Count, machine: Waiting) -> None:
    if machine.stage is Stage.HOT:
        count.hot.append(machine)
    elif machine.stage is Stage.COLD:
        count.cold.append(machine)
    elif machine.heating:
        count.heating += 1
    else:
        count.cloning += 1


def _of_nobody(pools: Sequence[Pool], counts: dict[UUID, _Count]) -> Iterator[Action]:
    known = {one for pool in pools for one in (pool.template_id, *pool.retired)}
    for template_id in counts.keys() - known:
        count = counts[template_id]
        for machine in (*count.hot, *count.cold):
            yield _remove(machine, "no pool has its template any more")


def _surplus(pool: Pool, counts: dict[UUID, _Count]) -> Iterator[Action]:
    """What is too much: of the pool's template, and of older ones once the new pool is filled."""
    count = counts.get(pool.template_id, _Count()) if pool.template_id else _Count()
    filled = len(count.hot) >= pool.hot and len(count.hot) + len(count.cold) >= _all(pool)
    for template_id in pool.retired:
        old = counts.get(template_id, _Count())
        if filled or _all(pool) == 0:
            for machine in (*old.hot, *old.cold):
                yield _remove(machine, "the pool of the newer template is filled")
    too_many = len(count.hot) - pool.hot
    for machine in sorted(count.hot, key=lambda one: one.seconds, reverse=True)[: max(0, too_many)]:
        if machine.seconds >= DWELL_SECONDS:
            yield _remove(machine, f"{pool.hot} hot are enough now")
    too_many = len(count.cold) - pool.cold - max(0, pool.hot - len(count.hot) - count.heating)
    for machine in count.cold[: max(0, too_many)]:
        if machine.seconds >= DWELL_SECONDS:
            yield _remove(machine, f"{pool.cold} cold are enough now")


def _all(pool: Pool) -> int:
    return pool.hot + pool.cold


@dataclass(kw_only=True)
class _Left:
    memory_mib: int
    machines: int


def _wanted(
    pools: Sequence[Pool], counts: dict[UUID, _Count], room: Room, gone: set[UUID]
) -> list[Action]:
    """Heat and clone what is missing; while memory lacks, what is worth less makes way."""
    left = _Left(memory_mib=room.memory_mib, machines=room.machines)
    evictable = [
        (pool, machine)
        for pool in reversed(pools)
        for template_id in (*pool.retired, pool.template_id)
        if template_id in counts
        for machine in counts[template_id].hot
        if machine.id not in gone
    ]
    actions = []
    while left.memory_mib < 0 and evictable:
        pool, machine = evictable.pop(0)
        actions.append(_remove(machine, "running sessions need its memory"))
        left.memory_mib += pool.memory_mib
        left.machines += 1
    for pool in pools:
        if pool.template_id is None or pool.held:
            continue
        count = counts.get(pool.template_id, _Count())
        missing = pool.hot - len(count.hot) - count.heating
        cold = [machine for machine in count.cold if machine.id not in gone]
        for _ in range(missing):
            made = _make_room(pool, left, evictable)
            if made is None:
                break
            actions += made
            left.memory_mib -= pool.memory_mib
            left.machines -= 1
            if cold:
                heated = cold.pop()
                actions.append(
                    Action(do=Do.HEAT, subject=heated.id, why=f"{pool.hot} should be hot")
                )
        if room.disk:
            for _ in range(_all(pool) - count.all):
                why = f"{_all(pool)} should wait"
                actions.append(Action(do=Do.CLONE, subject=pool.template_id, why=why))
    return actions


def _make_room(
    pool: Pool, left: _Left, evictable: list[tuple[Pool, Waiting]]
) -> list[Action] | None:
    """Who goes so that one more can be hot; None: nobody who is worth less is left."""
    actions: list[Action] = []
    taken = 0
    memory_mib, machines = left.memory_mib, left.machines
    while memory_mib < pool.memory_mib or machines < 1:
        if taken >= len(evictable) or evictable[taken][0].worth >= pool.worth:
            return None
        other, machine = evictable[taken]
        taken += 1
        memory_mib += other.memory_mib
        machines += 1
        actions.append(_remove(machine, "another pool uses its memory more"))
    del evictable[:taken]
    left.memory_mib, left.machines = memory_mib, machines
    return actions


def _remove(machine: Waiting, why: str) -> Action:
    return Action(do=Do.REMOVE, subject=machine.id, why=why)
