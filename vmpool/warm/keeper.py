"""Keeps the pools of a host as they should be: looks, decides, acts, and looks again.

Woken by every hand-out, and by a slow clock for what changes by itself. What is decided is pure
(`vmpool.warm.plan`, `due`, `sizing`); what it did is in the rows, for people to read.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import structlog

from vmpool.driver import Driver
from vmpool.errors import NoRoom
from vmpool.machine import Machine, Template, TemplateState
from vmpool.pool import Pool as Machines
from vmpool.warm.building import Builder, Furnish
from vmpool.warm.demand import Demands
from vmpool.warm.due import Due, Wait, Wanted, due, is_let_go, is_wanted, none_made
from vmpool.warm.plan import Pool, Room, Waiting, lacks, plan, worths
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import NOTHING
from vmpool.warm.stock import REFILL_SECONDS_GUESS, Stock

log = structlog.get_logger(__name__)

ROUNDS_MAX = 20
"""Of looking and acting in one call; what is left is done by the next."""


@dataclass(frozen=True, kw_only=True)
class KeeperLimits:
    """What bounds templates and the disk."""

    rebuild_seconds: float
    disk_reserve_mib: int


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """One pool: as it is planned, and as people are told of it."""

    key: tuple[UUID, str]
    """Project and size."""
    pool: Pool
    why: str
    """It should hold what it should."""
    held: str | None
    """Why no machines are made of its template; None: they are, if there is room."""
    refill_seconds: float

    def status(self, room: Room) -> dict[str, object]:
        """As `Rows.report` takes it."""
        return {
            "project_id": self.key[0],
            "size": self.key[1],
            "hot_target": self.pool.hot,
            "cold_target": self.pool.cold,
            "why": self.why,
            "held": self.held or lacks(room, self.pool.memory_mib),
            "refill_seconds": round(self.refill_seconds, 3),
        }


class Keeper:
    """The pools and templates of one host."""

    def __init__(
        self,
        rows: Rows,
        driver: Driver,
        machines: Machines,
        *,
        stock: Stock,
        builder: Builder,
        demands: Demands,
        limits: KeeperLimits,
    ) -> None:
        self._rows = rows
        self._driver = driver
        self._machines = machines
        self._stock = stock
        self._builder = builder
        self._demands = demands
        self._limits = limits
        self._reported: list[dict[str, object]] | None = None
        self._waits: tuple[Wait, ...] | None = None
        """As they were last written down."""
        self._no_room: dict[tuple[UUID, str], str] = {}
        """What had no room when its build was last tried, and why."""
        self.lacking = asyncio.Event()
        """Set when a template may be due: one failed, or a pool has none."""

    async def repair(self) -> None:
        """Remove what was left of what nobody makes any more: at the start, and before a build.

        An earlier process may have ended in the middle of one, or the database have been away
        when ours gave one up.
        """
        await self._builder.repair()
        for machine in await self._rows.unclaimed():
            if machine.template_id is None and not self._machines.is_held(machine):
                await self._machines.care.remove(machine.id, "whoever set it up ended")

    # -- machines that wait -----------------------------------------------------------------

    async def tend(self) -> None:
        """Make and remove machines that wait until there is nothing to do."""
        self._machines.claimed.clear()
        self._demands.hear(self._machines.take_handed_out())
        await self._demands.refresh()
        for _ in range(ROUNDS_MAX):
            templates = await self._rows.templates()
            waiting = await self._rows.waiting()
            room = await self._room()
            memory_mib = _measured(waiting)
            kept = [self._kept(some, memory_mib) for some in _by_pool(templates)]
            pools = [each.pool for each in kept]
            self._machines.worths = worths(pools)
            actions = plan(pools, [self._seen(machine) for machine in waiting], room)
            await self._report(kept, room)
            by_id = {template.id: template for template in templates}
            if not actions or not await self._stock.act(actions, by_id):
                return

    def _kept(self, some: Sequence[Template], memory_mib: Mapping[UUID, int]) -> _Kept:
        """A pool by its templates, the newest first; `memory_mib` see `_measured`."""
        newest, key = some[0], (some[0].project_id, some[0].size)
        ready = next((one for one in some if one.state is TemplateState.READY), None)
        refill_seconds = self._stock.refill_seconds(ready.id) if ready else REFILL_SECONDS_GUESS
        let_go = is_let_go(newest)
        targets = NOTHING if let_go else self._demands.targets(key, refill_seconds)
        failed = self._stock.breaker(ready.id).words(monotonic()) if ready else None
        pool = Pool(
            template_id=ready.id if ready else None,
            retired=frozenset(one.id for one in some if one.state is not TemplateState.READY),
            hot=targets.hot,
            cold=targets.cold,
            claims_per_hour=targets.claims_per_hour,
            memory_mib=memory_mib.get((ready or newest).id, (ready or newest).memory_mib // 2),
            held=failed is not None,
        )
        held = (failed and f"making one {failed}") if ready else none_made(newest)
        return _Kept(key=key, pool=pool, why=targets.why, held=held, refill_seconds=refill_seconds)

    def _seen(self, machine: Machine) -> Waiting:
        assert machine.template_id is not None
        return Waiting(
            id=machine.id,
            template_id=machine.template_id,
            stage=self._stock.stage(machine),
            seconds=(datetime.now(UTC) - machine.changed_at).total_seconds(),
        )

    async def _room(self) -> Room:
        spare = await self._machines.spare()
        free_mib = await asyncio.to_thread(self._driver.free_disk_mib)
        return Room(
            memory_mib=spare.memory_mib,
            machines=spare.machines,
            disk=free_mib > self._limits.disk_reserve_mib,
        )

    async def _report(self, kept: Sequence[_Kept], room: Room) -> None:
        """Write down how the pools stand, when that is news."""
        statuses = [each.status(room) for each in kept]
        if statuses != self._reported:
            changed = {"changed_at": datetime.now(UTC)}
            await self._rows.report([{**status, **changed} for status in statuses])
            self._reported = statuses

    async def forget(self) -> None:
        """Let go of hand-outs that are too old to say anything."""
        await self._demands.forget()

    # -- templates --------------------------------------------------------------------------

    async def build_due(
        self, wanted: Sequence[Wanted], furnish: Mapping[tuple[UUID, str], Furnish]
    ) -> None:
        """Build the template that is due most, if one is, and let go of what nobody needs."""
        self.lacking.clear()
        await self.repair()
        bound_to = await self._bound_to(wanted)
        decided = await self._due(wanted, bound_to)
        for template_id in decided.retire:
            note = "nobody asked for one lately"
            await self._rows.move_template(template_id, TemplateState.RETIRED, note=note)
        for template_id in decided.forget:
            await self._builder.forget(template_id)
            self._stock.forget(template_id)
        want, first = decided.build, decided.first
        if want is None or first is None:
            return
        await self._machines.quiet()
        log.info("template_due", project=str(want.order.project_id), why=first.why)
        fingerprint = want.fingerprint(bound_to[want.key])
        try:
            built = await self._builder.build(
                want.order, fingerprint, furnish[want.key], failures=first.failures
            )
        except NoRoom as error:
            log.info("template_waits", project=str(want.order.project_id), why=str(error))
            self._no_room = {want.key: str(error)}
            await self._tell(decided.waits)
            return
        self._no_room = {}
        if built is not None:
            self._machines.claimed.set()

    async def _due(self, wanted: Sequence[Wanted], bound_to: Mapping[tuple[UUID, str], str]) -> Due:
        """What to do about templates; what waits is written down."""
        used = frozenset(one.template_id for one in await self._rows.waiting() if one.template_id)
        decided = due(
            wanted,
            await self._rows.templates(),
            used,
            bound_to=bound_to,
            now=datetime.now(UTC),
            rebuild_seconds=self._limits.rebuild_seconds,
        )
        await self._tell(decided.waits)
        return decided

    async def _tell(self, decided: Sequence[Wait]) -> None:
        """Write down which templates wait, and why, when that is news."""
        waits = tuple(
            replace(wait, why=f"{wait.why}; {self._no_room[wait.key]}")
            if wait.key in self._no_room
            else wait
            for wait in decided
        )
        if waits != self._waits:
            await self._rows.report_waits(waits)
            self._waits = waits

    @property
    def building(self) -> Template | None:
        """What is being built now."""
        return self._builder.building

    async def give_up_unwanted(self, building: Template, wanted: Sequence[Wanted]) -> None:
        """Let go of the build of this template if it is none of those that are wanted since.

        What is wanted besides, and waits for its end, is written down.
        """
        bound_to = await self._bound_to(wanted)
        await self._due(wanted, bound_to)
        if building is self.building and not is_wanted(building, wanted, bound_to):
            self._builder.give_up()
            self.lacking.set()

    async def _bound_to(self, wanted: Sequence[Wanted]) -> dict[tuple[UUID, str], str]:
        # The size is part of what a rest is bound to: asked for each, not once for all.
        return {want.key: await self._driver.bound_to(want.order.spec) for want in wanted}


def _by_pool(templates: Sequence[Template]) -> Iterable[Sequence[Template]]:
    """The templates of which machines may wait, of each pool the newest first."""
    pools: dict[tuple[UUID, str], list[Template]] = {}
    for template in templates:
        if template.state is not TemplateState.BUILDING:
            pools.setdefault((template.project_id, template.size), []).append(template)
    return pools.values()


def _measured(waiting: Sequence[Machine]) -> dict[UUID, int]:
    """The most that a hot machine of each template takes, in MiB, where one was measured."""
    most: dict[UUID, int] = {}
    for machine in waiting:
        measured = machine.facts.get("private_mib")
        if machine.template_id is not None and measured is not None:
            most[machine.template_id] = max(most.get(machine.template_id, 0), int(measured))
    return most
