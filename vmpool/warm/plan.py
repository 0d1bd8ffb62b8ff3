"""What to do about the machines that wait on a host, decided from what is known; pure.

    targets (vmpool.warm.sizing) ──┐
    machines that wait ────────────┼──▶ plan ──▶ remove · heat · clone, in the order of their worth
    room: memory, machines ────────┘

Hot machines take memory and cold ones only disk, so memory goes where a hot machine is expected
to be used most per byte; what is worth less makes way. Nothing here looks at a clock or a table.
"""

import enum
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

ACTIONS_MAX = 64
"""Of each kind in one plan: it is done a few at a time, and planned anew after."""
DWELL_SECONDS = 60.0
"""A hot machine that is one too many stays so long: targets move, and the next claim may come."""


class Stage(enum.StrEnum):
    """How far a machine that waits is."""

    CLONING = "cloning"
    """It will be cold soon."""
    COLD = "cold"
    HEATING = "heating"
    """It will be hot soon."""
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


def worths(pools: Iterable[Pool]) -> dict[UUID, float]:
    """What a hot machine of each template is worth."""
    return {
        template_id: pool.worth
        for pool in pools
        for template_id in (pool.template_id, *pool.retired)
        if template_id is not None
    }


@dataclass(frozen=True, kw_only=True)
class Room:
    """What machines that wait may still take of the host."""

    memory_mib: int
    """May be negative: sessions took more meanwhile."""
    machines: int
    """That may be up besides."""
    disk: bool
    """Whether there is room for one more on disk."""


def lacks(room: Room, memory_mib: int) -> str | None:
    """What of the host keeps a pool's machines from being made, for a person; None: nothing.

    :param memory_mib: what a hot one takes
    """
    # First: neither places nor memory keep a cold one from being made.
    if not room.disk:
        return "the disk is nearly full"
    if room.machines < 1:
        return (
            "as many machines are up as may be at once (machine.running_max), "
            "less one place kept for a session"
        )
    if room.memory_mib < memory_mib:
        return "the memory left for machines is less than one takes (machine.memory_mib_max)"
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
    counts, stranded = _counted(waiting)
    removals = itertools.chain(
        (_remove(machine, "whoever made it ended") for machine in stranded),
        _of_nobody(pools, counts),
        itertools.chain.from_iterable(_surplus(pool, counts) for pool in pools),
    )
    actions = list(itertools.islice(removals, ACTIONS_MAX))
    gone = {action.subject for action in actions}
    wanted = _Wanted(pools, counts, room, gone)
    return actions + list(itertools.islice(wanted.actions(), ACTIONS_MAX))


def _counted(waiting: Iterable[Waiting]) -> tuple[dict[UUID, _Count], list[Waiting]]:
    """What waits of each template; apart, what is stranded."""
    # Numbers as keys and names of our own: this is done for every machine of the host, and a UUID
    # computes its hash in Python each time, as an enumeration looks each member up.
    by_number: dict[int, _Count] = {}
    counts: dict[UUID, _Count] = {}
    stranded = []
    hot, cold, heating, aside = Stage.HOT, Stage.COLD, Stage.HEATING, Stage.STRANDED
    for machine in waiting:
        stage = machine.stage
        if stage is aside:
            stranded.append(machine)
            continue
        count = by_number.get(machine.template_id.int)
        if count is None:
            count = by_number[machine.template_id.int] = counts[machine.template_id] = _Count()
        if stage is hot:
            count.hot.append(machine)
        elif stage is cold:
            count.cold.append(machine)
        elif stage is heating:
            count.heating += 1
        else:
            count.cloning += 1
    return counts, stranded


def _of_nobody(pools: Sequence[Pool], counts: dict[UUID, _Count]) -> Iterator[Action]:
    known = {one for pool in pools for one in (pool.template_id, *pool.retired)}
    for template_id, count in counts.items():
        if template_id in known:
            continue
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


class _Wanted:
    """Heats and clones what is missing; while memory lacks, what is worth less makes way."""

    def __init__(
        self,
        pools: Sequence[Pool],
        counts: dict[UUID, _Count],
        room: Room,
        gone: set[UUID],
    ) -> None:
        """`pools` are sorted, those worth most first; `gone` are removed already."""
        self._pools = pools
        self._counts = counts
        self._room = room
        self._gone = gone
        self._memory_mib = room.memory_mib
        self._machines = room.machines

    def actions(self) -> Iterator[Action]:
        """What to do, in the order of its worth."""
        for pool, machine in self._worth_least_first():
            if self._memory_mib >= 0:
                break
            yield self._evict(pool, machine, "running sessions need its memory")
        for pool in self._pools:
            if pool.template_id is not None and not pool.held:
                yield from self._fill(pool, pool.template_id)

    def _fill(self, pool: Pool, template_id: UUID) -> Iterator[Action]:
        count = self._counts.get(template_id) or _Count()
        # Looked for one by one: most pools need none.
        cold = (machine for machine in reversed(count.cold) if machine.id not in self._gone)
        for _ in range(pool.hot - len(count.hot) - count.heating):
            machine = next(cold, None)
            making_way = self._makes_way(pool, replaced=machine is not None)
            if making_way is None:
                break
            for other, evicted, why in making_way:
                yield self._evict(other, evicted, why)
            self._memory_mib -= pool.memory_mib
            self._machines -= 1
            if machine is not None:
                why = f"its pool should have {pool.hot} hot"
                yield Action(do=Do.HEAT, subject=machine.id, why=why)
        if self._room.disk:
            why = f"its pool should have {_all(pool)} that wait"
            for _ in range(_all(pool) - count.all):
                yield Action(do=Do.CLONE, subject=template_id, why=why)

    def _makes_way(self, pool: Pool, *, replaced: bool) -> list[tuple[Pool, Waiting, str]] | None:
        """Who goes so that one more of a pool may be hot; None: there is no room, and none for it.

        First its own of older templates, if there is one to heat in their place; else what is
        worth less.
        """
        memory_mib, machines = self._memory_mib, self._machines
        found: list[tuple[Pool, Waiting, str]] = []
        candidates = self._candidates(pool, replaced=replaced)
        while memory_mib < pool.memory_mib or machines < 1:
            candidate = next(candidates, None)
            if candidate is None:
                return None
            found.append(candidate)
            memory_mib += candidate[0].memory_mib
            machines += 1
        return found

    def _candidates(self, pool: Pool, *, replaced: bool) -> Iterator[tuple[Pool, Waiting, str]]:
        older = self._hot(pool.retired)
        if older and not replaced:
            return
        for machine in older:
            yield pool, machine, "one of the newer template takes its place"
        for other, machine in self._worth_least_first():
            if other.worth >= pool.worth:
                return
            yield other, machine, "another pool uses its memory more"

    def _worth_least_first(self) -> Iterator[tuple[Pool, Waiting]]:
        for pool in reversed(self._pools):
            for machine in self._hot(pool.retired):
                yield pool, machine
            if pool.template_id is not None:
                for machine in self._hot((pool.template_id,)):
                    yield pool, machine

    def _hot(self, template_ids: Iterable[UUID]) -> list[Waiting]:
        """The hot machines of these templates that are not removed already."""
        return [
            machine
            for template_id in template_ids
            if template_id in self._counts
            for machine in self._counts[template_id].hot
            if machine.id not in self._gone
        ]

    def _evict(self, pool: Pool, machine: Waiting, why: str) -> Action:
        self._gone.add(machine.id)
        self._memory_mib += pool.memory_mib
        self._machines += 1
        return _remove(machine, why)


def _remove(machine: Waiting, why: str) -> Action:
    return Action(do=Do.REMOVE, subject=machine.id, why=why)
