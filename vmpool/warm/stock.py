"""The machines that wait on a host: cloned, heated, handed out, thrown away.

    template ──clone──▶ cold (a snapshot) ──heat──▶ hot (up, its own, SSH open, paused)
                             └────────── claim ─────────┘
                                           ▼
                                    a session's machine

What should wait is decided in `vmpool.warm.plan`; this acts on it, a few machines at a time. None
is begun while a session's machine is being opened; one that is under way then goes on. What fails
is thrown away: a machine that waits holds nothing of anybody's.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import structlog

from vmpool.driver import Driver
from vmpool.errors import HostFull, MachineError, RestRefused
from vmpool.machine import Machine, MachineState, Template, TemplateState
from vmpool.memory import private_mib
from vmpool.pool import Pool as Machines
from vmpool.registry import Registry
from vmpool.warm.breaker import Breaker
from vmpool.warm.building import TOUCH_SECONDS_MAX, UNCLAIMED_TOKEN
from vmpool.warm.plan import Action, Do, Stage
from vmpool.warm.rows import Rows

log = structlog.get_logger(__name__)

REFILL_SECONDS_GUESS = 5.0
_WEIGHT = 0.3
"""Of the newest refill in the running mean."""


@dataclass(frozen=True, kw_only=True)
class StockLimits:
    """What bounds the making of machines that wait."""

    at_once_max: int
    resume_seconds: float


class Stock:
    """Makes and removes the machines that wait; the claim itself is `Rows.claim`."""

    def __init__(
        self,
        rows: Rows,
        registry: Registry,
        driver: Driver,
        machines: Machines,
        limits: StockLimits,
    ) -> None:
        """`machines` are those of the host; sessions that wait for one of them go before."""
        self._rows = rows
        self._registry = registry
        self._driver = driver
        self._machines = machines
        self._care = machines.care
        self._limits = limits
        self._making: dict[UUID, Stage] = {}
        self._breakers: dict[UUID, Breaker] = {}
        self._refill_seconds: dict[UUID, float] = {}

    # -- what is known ----------------------------------------------------------------------

    def breaker(self, template_id: UUID) -> Breaker:
        """How making machines of a template went lately."""
        return self._breakers.get(template_id, Breaker())

    def refill_seconds(self, template_id: UUID) -> float:
        """How long a machine of this template takes to become hot, lately."""
        return self._refill_seconds.get(template_id, REFILL_SECONDS_GUESS)

    def stage(self, machine: Machine) -> Stage:
        """How far a machine that waits is."""
        if machine.id in self._making:
            return self._making[machine.id]
        match machine.state:
            case MachineState.PAUSED:
                # Without its channel, which ended with an earlier process of ours, it is not hot.
                known = self._care.channel(machine.id) is not None
                return Stage.HOT if known else Stage.STRANDED
            case MachineState.RESTING:
                return Stage.COLD
            case _:
                return Stage.STRANDED

    # -- acting -----------------------------------------------------------------------------

    async def act(self, actions: Sequence[Action], templates: Mapping[UUID, Template]) -> int:
        """Do what was decided, a few at a time; how much was begun. Never raises for a machine."""
        begun = 0
        gate = asyncio.Semaphore(self._limits.at_once_max)

        async def one(action: Action) -> None:
            nonlocal begun
            async with gate:
                await self._machines.quiet()
                # Others count while this one waits: what was read before would be stale.
                is_begun = await self._one(action, templates)
                begun += is_begun

        async with asyncio.TaskGroup() as group:
            for action in actions:
                group.create_task(one(action))
        return begun

    async def _one(self, action: Action, templates: Mapping[UUID, Template]) -> bool:
        try:
            match action.do:
                case Do.REMOVE:
                    return await self.remove(action.subject, action.why)
                case Do.HEAT:
                    return await self._heat(action.subject, action.why)
                case Do.CLONE:
                    template = templates.get(action.subject)
                    return template is not None and await self._clone(template, action.why)
        except Exception:
            log.exception("pool_action_failed", do=action.do, subject=str(action.subject))
            return False

    async def remove(self, machine_id: UUID, why: str) -> bool:
        """Remove a machine that waits; False when a session has it meanwhile."""
        taken = await self._rows.take_aside(machine_id, MachineState.REMOVING, note=why)
        if taken is None:
            return False
        await self._care.remove(machine_id, why)
        return True

    async def _clone(self, template: Template, why: str) -> bool:
        machine = await self._registry.clone_row(template, note=why)
        with self._make(machine.id, Stage.CLONING):
            try:
                await self._driver.clone(str(template.id), str(machine.id))
                await self._registry.move(machine.id, MachineState.RESTING)
            except Exception as error:
                why = f"it could not be cloned: {error}"
                await asyncio.shield(self._care.remove(machine.id, why))
                await self._clone_failed(template, error)
                return False
        return True

    @contextmanager
    def _make(self, machine_id: UUID, stage: Stage) -> Iterator[None]:
        self._making[machine_id] = stage
        try:
            with self._machines.hold(machine_id):
                yield
        finally:
            del self._making[machine_id]

    async def _clone_failed(self, template: Template, error: Exception) -> None:
        self._failed(template.id, error)
        if isinstance(error, RestRefused):
            # Another build of the hypervisor, an altered file: it has to be built again.
            note = f"it can't be used any more: {error}"
            await self._rows.move_template(template.id, TemplateState.FAILED, note=note)
        elif not isinstance(error, HostFull):
            log.warning("clone_failed", template=str(template.id), error=str(error))

    async def _heat(self, machine_id: UUID, why: str) -> bool:
        began = monotonic()
        machine = await self._rows.take_aside(machine_id, MachineState.STARTING, note=why)
        if machine is None or machine.template_id is None:
            return False
        with self._make(machine_id, Stage.HEATING):
            try:
                private = await self._make_hot(machine)
            except Exception as error:
                why = f"it could not be heated: {error}"
                await asyncio.shield(self._care.lose(machine_id, why))
                self._failed(machine.template_id, error)
                if not isinstance(error, MachineError | TimeoutError | OSError):
                    raise
                return False
            seconds = monotonic() - began
            facts = {"heat_seconds": round(seconds, 3), "private_mib": private}
            await self._registry.move(machine_id, MachineState.PAUSED, facts=facts)
        self._succeeded(machine.template_id, seconds)
        return True

    async def _make_hot(self, machine: Machine) -> int | None:
        """Resume it, make it its own, touch what a first command touches, stop its CPUs."""
        name = str(machine.id)
        await self._driver.resume(name)
        channel = await self._care.connect(machine, UNCLAIMED_TOKEN, self._limits.resume_seconds)
        # From the page cache into its memory, and the agent's login with it: not while one waits.
        await channel.run(["true"], timeout_seconds=TOUCH_SECONDS_MAX)
        await self._registry.move(machine.id, MachineState.RUNNING)
        self._care.watch(machine)
        channel.stand_still()
        await self._driver.pause(name)
        pid = (await self._driver.look(name)).pid
        return await asyncio.to_thread(private_mib, pid) if pid else None

    def _failed(self, template_id: UUID, error: Exception) -> None:
        breaker = self.breaker(template_id).failed(monotonic(), str(error))
        self._breakers[template_id] = breaker
        log.warning("refill_failed", template=str(template_id), error=str(error))

    def _succeeded(self, template_id: UUID, seconds: float) -> None:
        self._breakers.pop(template_id, None)
        known = self._refill_seconds.get(template_id, seconds)
        self._refill_seconds[template_id] = known + _WEIGHT * (seconds - known)

    def forget(self, template_id: UUID) -> None:
        """A template is gone."""
        self._breakers.pop(template_id, None)
        self._refill_seconds.pop(template_id, None)
