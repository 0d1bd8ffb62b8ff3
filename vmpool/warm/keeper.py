"""Keeps the pools of a host as they should be: looks, decides, acts, and looks again.

Woken by every hand-out, and by a slow clock for what changes by itself. What is decided is pure
(`vmpool.warm.plan`, `templates`, `sizing`); what it did is in the rows, for people to read.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import structlog

from vmpool.driver import Driver
from vmpool.machine import Machine, Template, TemplateState
from vmpool.pool import Pool as Machines
from vmpool.warm.building import Builder, Furnish
from vmpool.warm.demand import Demands
from vmpool.warm.plan import Pool, Room, Waiting, lacks, plan, worths
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import NOTHING, Targets
from vmpool.warm.stock import REFILL_SECONDS_GUESS, Stock
from vmpool.warm.templates import Wanted, due, is_let_go, is_wanted, none_made

log = structlog.get_logger(__name__)

ROUNDS_MAX = 20
"""Of looking and acting in one call; what is left is done by the next."""


@dataclass(frozen=True, kw_only=True)
class KeeperLimits:
    """What bounds templates and the disk."""

    rebuild_seconds: float
    disk_reserve_mib: int


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
            pools = self._pools(templates, waiting)
            self._machines.worths = worths(pools)
            actions = plan(pools, [self._seen(machine) for machine in waiting], room)
            await self._report(templates, pools, room)
            by_id = {template.id: template for template in templates}
            if not actions or not await self._stock.act(actions, by_id):
                return

    def _pools(self, templates: Sequence[Template], waiting: Sequence[Machine]) -> list[Pool]:
        pools = []
        for key, some in _by_pool(templates).items():
            ready = next((one for one in some if one.state is TemplateState.READY), None)
            retired = frozenset(one.id for one in some if one.state is not TemplateState.READY)
            targets = self._targets(key, some[0], ready)
            pools.append(
                Pool(
                    template_id=ready.id if ready else None,
                    retired=retired,
                    hot=targets.hot,
                    cold=targets.cold,
                    claims_per_hour=targets.claims_per_hour,
                    memory_mib=_measured(ready or some[0], waiting),
                    held=ready is not None and self._held(ready.id) is not None,
                )
            )
        return pools

    def _targets(self, key: tuple[UUID, str], newest: Template, ready: Template | None) -> Targets:
        if is_let_go(newest):
            return NOTHING
        return self._demands.targets(key, self._refill_seconds(ready))

    def _refill_seconds(self, ready: Template | None) -> float:
        return self._stock.refill_seconds(ready.id) if ready else REFILL_SECONDS_GUESS

    def _held(self, template_id: UUID) -> str | None:
        failed = self._stock.breaker(template_id).words(monotonic())
        return failed and f"making one {failed}"

    def _seen(self, machine: Machine) -> Waiting:
        stage, heating = self._stock.stage(machine)
        assert machine.template_id is not None
        return Waiting(
            id=machine.id,
            template_id=machine.template_id,
            stage=stage,
            seconds=(datetime.now(UTC) - machine.changed_at).total_seconds(),
            heating=heating,
        )

    async def _room(self) -> Room:
        spare = await self._machines.spare()
        free_mib = await asyncio.to_thread(self._driver.free_disk_mib)
        return Room(
            memory_mib=spare.memory_mib,
            machines=spare.machines,
            disk=free_mib > self._limits.disk_reserve_mib,
        )

    async def _report(
        self, templates: Sequence[Template], pools: Sequence[Pool], room: Room
    ) -> None:
        """Write down how the pools stand, when that is news."""
        statuses: list[dict[str, object]] = []
        by_pool = _by_pool(templates).items()
        for ((project_id, size), some), pool in zip(by_pool, pools, strict=True):
            ready = next((one for one in some if one.id == pool.template_id), None)
            targets = self._targets((project_id, size), some[0], ready)
            held = self._held(ready.id) if ready else none_made(some[0])
            statuses.append(
                {
                    "project_id": project_id,
                    "size": size,
                    "hot_target": targets.hot,
                    "cold_target": targets.cold,
                    "why": targets.why,
                    "held": held or lacks(room, pool.memory_mib),
                    "refill_seconds": round(self._refill_seconds(ready), 3),
                }
            )
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
        used = frozenset(one.template_id for one in await self._rows.waiting() if one.template_id)
        bound_to = await self._bound_to(wanted)
        decided = due(
            wanted,
            await self._rows.templates(),
            used,
            bound_to=bound_to,
            now=datetime.now(UTC),
            rebuild_seconds=self._limits.rebuild_seconds,
        )
        for template_id in decided.retire:
            note = "nobody asked for one lately"
            await self._rows.move_template(template_id, TemplateState.RETIRED, note=note)
        for template_id in decided.forget:
            await self._builder.forget(template_id)
            self._stock.forget(template_id)
        if decided.build is None:
            return
        await self._machines.quiet()
        want = decided.build
        log.info("template_due", project=str(want.order.project_id), why=decided.why)
        fingerprint = want.fingerprint(bound_to[want.key])
        built = await self._builder.build(want.order, fingerprint, furnish[want.key])
        if built is not None:
            self._machines.claimed.set()

    @property
    def building(self) -> Template | None:
        """What is being built now."""
        return self._builder.building

    async def give_up_unwanted(self, building: Template, wanted: Sequence[Wanted]) -> None:
        """Let go of the build of this template if it is none of those that are wanted since."""
        bound_to = await self._bound_to(wanted)
        if building is self.building and not is_wanted(building, wanted, bound_to):
            self._builder.give_up()
            self.lacking.set()

    async def _bound_to(self, wanted: Sequence[Wanted]) -> dict[tuple[UUID, str], str]:
        # The size is part of what a rest is bound to: asked for each, not once for all.
        return {want.key: await self._driver.bound_to(want.order.spec) for want in wanted}


def _by_pool(templates: Sequence[Template]) -> dict[tuple[UUID, str], list[Template]]:
    """The templates of which machines may wait, by pool, the newest first."""
    pools: dict[tuple[UUID, str], list[Template]] = {}
    for template in templates:
        if template.state is not TemplateState.BUILDING:
            pools.setdefault((template.project_id, template.size), []).append(template)
    return pools


def _measured(template: Template, waiting: Sequence[Machine]) -> int:
    """What a hot machine of this template takes, in MiB: the most that one took, else a guess."""
    measured = [
        int(machine.facts["private_mib"])
        for machine in waiting
        if machine.template_id == template.id and machine.facts.get("private_mib") is not None
    ]
    return max(measured, default=template.memory_mib // 2)
