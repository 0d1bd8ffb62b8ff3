"""Building a template: a machine is booted, set up, frozen, and from then on only cloned.

    row ─▶ create ─▶ boot ─▶ furnish (repository, set-up, services) ─▶ freeze ─▶ ready
            └──────────┴──────────────┴──▶ failed: the log says at which step; the machine goes

Until it is frozen it is given up as soon as nobody wants it any more: then it is gone, not failed.
What is left of a build whose process ended is removed at the next start: nothing of it counts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import TypeVar
from uuid import UUID

import structlog

from vmpool.channel import Channel
from vmpool.driver import Driver
from vmpool.errors import MachineError
from vmpool.machine import Machine, MachineState, Template, TemplateState
from vmpool.pool import Pool as Machines
from vmpool.registry import Order, Registry
from vmpool.storable import storable
from vmpool.warm.rows import Rows

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

UNCLAIMED_TOKEN = 0
"""A guest that works for no session has seen no lease: whoever gets it shows a higher one."""
OUTPUT_BYTES_MAX = 16 * 1024
"""Of one step's output in the log: its end, where the reason stands."""
STEPS_MAX = 100
"""Of a build, in the log."""
OWN_STEPS = 2
"""Besides those of whoever furnishes: boot and freeze."""
TOUCH_SECONDS_MAX = 60.0
"""For the first command, which a machine's first one would otherwise wait for."""


class StepFailed(Exception):
    """A step of a build failed; the text says so to a person."""

    def __init__(self, why: str, *, exit_status: int | None = None, output: str = "") -> None:
        super().__init__(why)
        self.exit_status = exit_status
        self.output = output


class Unwanted(Exception):
    """Nobody wants any more what is being built."""


class BuildLog:
    """Writes down the steps of one build."""

    def __init__(self, rows: Rows, template_id: UUID, machine_id: UUID) -> None:
        """`machine_id` is that of the machine which becomes the template."""
        self._rows = rows
        self.template_id = template_id
        self.machine_id = machine_id
        self._begun = 0
        self._count: int | None = None

    def expect(self, furnishing: int) -> None:
        """Furnishing takes so many steps, as far as is known now; told from the next one on."""
        self._count = furnishing + OWN_STEPS

    @asynccontextmanager
    async def step(self, name: str, **facts: str) -> AsyncIterator[list[str]]:
        """A step: what is appended to the yielded list is its output, kept from its end.

        :param facts: what else is known of it, such as why it is there
        :raises StepFailed: passed on, and written down
        """
        began = monotonic()
        said: list[str] = []
        head = {"step": name, **facts}
        self._begun += 1
        await self._rows.note_step(self.template_id, name, number=self._begun, count=self._count)
        try:
            yield said
        except StepFailed as error:
            await self._write(head, began, error.exit_status or 1, error.output or str(error))
            raise
        except (MachineError, OSError, TimeoutError) as error:
            await self._write(head, began, 1, str(error))
            raise
        await self._write(head, began, 0, "".join(said))

    async def _write(
        self, head: Mapping[str, str], began: float, exit_status: int, output: str
    ) -> None:
        if self._begun > STEPS_MAX:
            return
        step = {
            **head,
            "seconds": round(monotonic() - began, 3),
            "exit_status": exit_status,
            "output": storable(output[-OUTPUT_BYTES_MAX:]),
        }
        await self._rows.log_step(self.template_id, step)


Furnish = Callable[[Channel, BuildLog], Awaitable[str]]
"""Sets the machine up; returns the commit its repository is at. :raises StepFailed:"""


class Builder:
    """Builds the templates of a host, one at a time."""

    def __init__(
        self,
        rows: Rows,
        registry: Registry,
        driver: Driver,
        machines: Machines,
        *,
        boot_seconds: float,
    ) -> None:
        self._rows = rows
        self._registry = registry
        self._driver = driver
        self._machines = machines
        self._care = machines.care
        self._boot_seconds = boot_seconds
        self.building: Template | None = None
        self._unwanted = asyncio.Event()

    def give_up(self) -> None:
        """Let go of what is being built, unless it is about to be ready."""
        self._unwanted.set()

    async def build(
        self, order: Order, fingerprint: str, furnish: Furnish, *, failures: int = 0
    ) -> Template | None:
        """Build one; None when it failed or was given up, as its row then tells.

        Cancelled: nothing is left.

        :param failures: builds of the same that failed in a row before
        :raises NoRoom: as many machines run as may; nothing was begun
        """
        async with self._machines.room_beside(order.spec.memory_mib):
            template = await self._rows.begin_template(order, fingerprint, failures=failures)
            machine = await self._registry.add(order)
        log.info("template_building", template=str(template.id), project=str(order.project_id))
        with self._machines.hold(machine.id), self._under_way(template):
            try:
                await self._rows.note_machine(template.id, machine.id)
                await self._build(template, machine, order, furnish)
            except Unwanted:
                why = "given up while it was built: its project's definition changed"
                await self._give_up(template, machine, why, TemplateState.GONE)
                return None
            except (StepFailed, MachineError, OSError, TimeoutError) as error:
                await self._give_up(template, machine, str(error))
                return None
            except BaseException as error:
                why = f"its build was interrupted ({type(error).__name__})"
                await asyncio.shield(self._give_up(template, machine, why))
                raise
        log.info("template_ready", template=str(template.id))
        return await self._rows.template(template.id)

    @contextmanager
    def _under_way(self, template: Template) -> Iterator[None]:
        self._unwanted.clear()
        self.building = template
        try:
            yield
        finally:
            self.building = None

    async def _build(
        self, template: Template, machine: Machine, order: Order, furnish: Furnish
    ) -> None:
        build_log = BuildLog(self._rows, template.id, machine.id)
        set_up = self._set_up(machine, order, furnish, build_log)
        machine, channel, commit = await _unless(self._unwanted, set_up)
        async with build_log.step("freeze"):
            # What every login reads shall be in the memory that clones share.
            await channel.run(["true"], timeout_seconds=TOUCH_SECONDS_MAX)
            await self._care.freeze(machine, str(template.id))
        generation = machine.generation
        await self._rows.finish_template(template, commit=commit, generation=generation)
        await self._care.remove(machine.id, "it became a template")

    async def _set_up(
        self, machine: Machine, order: Order, furnish: Furnish, build_log: BuildLog
    ) -> tuple[Machine, Channel, str]:
        async with build_log.step("boot"):
            await self._driver.create(str(machine.id), order.spec)
            machine = await self._registry.move(machine.id, MachineState.STARTING)
            await self._driver.boot(str(machine.id))
            channel = await self._care.connect(machine, UNCLAIMED_TOKEN, self._boot_seconds)
            machine = await self._registry.move(machine.id, MachineState.RUNNING)
        return machine, channel, await furnish(channel, build_log)

    async def _give_up(
        self,
        template: Template,
        machine: Machine,
        why: str,
        to: TemplateState = TemplateState.FAILED,
    ) -> None:
        log.warning("template_given_up", template=str(template.id), state=to, why=why)
        await self._care.remove(machine.id, "the template it was set up for came to nothing")
        await self._drop(str(template.id))
        await self._rows.move_template(template.id, to, note=why)

    async def repair(self) -> None:
        """Remove what a build left whose process ended, and templates that no row owns.

        A template whose files are gone or can't be used here any more has failed: it is built
        again. Not to be called while a build is under way.
        """
        for template in await self._rows.templates(TemplateState.BUILDING):
            if template.machine_id is not None:
                await self._care.remove(template.machine_id, "its template's build was interrupted")
            await self._rows.move_template(
                template.id, TemplateState.GONE, note="its build was interrupted"
            )
        seen = {sight.template_id: sight for sight in await self._driver.templates()}
        rows = {str(template.id): template for template in await self._rows.templates()}
        for template_id, template in rows.items():
            if template.state is not TemplateState.READY:
                continue
            sight = seen.get(template_id)
            why = "its files are gone" if sight is None else sight.broken
            if why is not None:
                log.warning("template_broken", template=template_id, why=why)
                await self._rows.move_template(template.id, TemplateState.FAILED, note=why)
        for template_id in seen:
            owner = rows.get(template_id)
            if owner is None or owner.state is TemplateState.FAILED:
                await self._drop(template_id)

    async def forget(self, template_id: UUID) -> None:
        """Remove a retired or failed template; machines made of it live on."""
        await self._drop(str(template_id))
        await self._rows.move_template(template_id, TemplateState.GONE)

    async def _drop(self, template_id: str) -> None:
        """Remove its files; what the host keeps of them, the next `repair` removes."""
        try:
            await self._driver.drop(template_id)
        except (MachineError, OSError) as error:
            log.error("template_not_removed", template=template_id, error=str(error))


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, Result]) -> Result:
    """The work's result. :raises Unwanted: `stop` came first; the work is cancelled then"""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            raise Unwanted
        return await working
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
