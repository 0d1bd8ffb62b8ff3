"""`ona work`: the machines of one host and the worker that runs turns in them."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import text

from bot.agents import adapters_of, conversations, told_at
from bot.automate.files.reading import LOOK_SECONDS, Reading
from bot.config import Settings
from bot.deliveries import delivery_open
from bot.forges import open_rights
from bot.gateway import WayOut, gateway_open
from bot.govern.grants import Grants
from bot.govern.instructions import Installed
from bot.govern.offers import offers_of
from bot.govern.rights import Rights
from bot.ground import Ground, ground, only_process
from bot.host_identity import host_identity
from bot.host_machines import HostMachines, what_works
from bot.images import CachedImage
from bot.logins import logins_open
from bot.metrics import MACHINES, write_work_metrics
from bot.pools import Pools, sizes
from bot.relaying import relay_open
from bot.store.blobs import DirectoryBlobs
from bot.store.database import CONTROL, POLICY, READY, Database
from bot.store.database import MACHINES as MACHINE_HINTS
from bot.vault import authority_of, grants_open, vault_open
from bot.work.agent_previews import forward
from bot.work.bounds import SessionLimits
from bot.work.checkpoint import Checkpoints
from bot.work.deleting import Deletions
from bot.work.delivery import Delivery
from bot.work.instructing import Instructing
from bot.work.machines import MachineWorkplaces
from bot.work.repository import Repositories
from bot.work.turn_means import Means, TurnLimits
from bot.work.turns import Turns
from bot.work.work_queue import WorkQueue
from bot.work.worker import Worker, WorkerLimits, unless
from scheduler.chores import Chore, run_chores
from vmpool.driver import Driver
from vmpool.drivers.process import read_boot_id
from vmpool.image import remove_unused
from vmpool.pool import Pool
from vmpool.reconcile import reconcile
from vmpool.registry import Registry
from vmpool.silence import REPORT_SECONDS

log = structlog.get_logger(__name__)

_MIRRORED = text(
    "SELECT id FROM project UNION ALL SELECT id FROM project_repository WHERE removed_at IS NULL"
)
RECONCILE_SECONDS = 60.0
IDLE_CHECK_SECONDS_MAX = 15.0
PRESSURE_SECONDS = 5.0
STILL_SECONDS = 5.0
"""Between looks for machines whose jobs stand still; each is tried later and later."""
POOL_SECONDS = 30.0
"""Slow clock of what hand-outs wake."""
CHARGES_SECONDS = 60.0
DELETIONS_SECONDS = 10.0
HOUR_SECONDS = 3600.0
NICENESS = 4
"""Of this process and what it starts: on one host with `ona serve` and the database, a fleet of
automations must not make people wait for those."""


async def work(settings: Settings, url: str) -> None:
    """Run turns and the machines of this host until SIGTERM. :raises Refused: runs already."""
    hears = (READY, CONTROL, MACHINE_HINTS, POLICY)
    with only_process(settings.host_dir / "work.lock", "`ona work`"):
        async with ground(settings, url, hears) as base, AsyncExitStack() as stack:
            host = await Host.open(base, stack)
            await host.worker().run(base.signals.stop, base.signals.now)
            if settings.machine.rest_at_stop:
                await unless(base.signals.now, host.pool.rest_all())


@dataclass(frozen=True, kw_only=True)
class Host:
    """The parts of `ona work`."""

    base: Ground
    host_id: UUID
    driver: Driver
    registry: Registry
    pool: Pool
    pools: Pools
    repositories: Repositories
    checkpoints: Checkpoints
    deletions: Deletions
    image: CachedImage
    engine_image: CachedImage
    """For templates with a dev container; made when there is one."""
    grants: Grants | None
    way_out: WayOut
    automations: Reading
    rights: Rights
    installed: Installed
    """Instructions of the installation, for every agent."""
    delivery: Delivery | None = None
    """None: what turns leave stays in their sessions."""

    @classmethod
    async def open(cls, base: Ground, stack: AsyncExitStack) -> "Host":
        """Find out what works here, take over what an earlier process left, start the chores."""
        settings = base.settings
        installed = Installed(settings.agents.instructions)
        host_id = host_identity(settings.host_dir)
        image, engine_image = CachedImage(settings), CachedImage(settings, engine=True)
        works = await what_works(settings, (await image()).kernel)
        vault = await stack.enter_async_context(vault_open(settings))
        grants = await stack.enter_async_context(grants_open(settings, vault, base.database))
        way_out = await stack.enter_async_context(gateway_open(base, grants))
        await way_out.spending.settle_left(host_id)
        authority = await authority_of(settings, vault)
        machines = HostMachines.of(
            base, works, host_id=host_id, way_out=way_out, grants=grants, authority=authority
        )
        driver, registry, pool = machines.driver, machines.registry, machines.pool
        stack.push_async_callback(pool.close)
        logins = await stack.enter_async_context(logins_open(settings))
        repositories = Repositories(settings.data_dir / "mirrors", logins=logins)
        delivery = await stack.enter_async_context(
            delivery_open(settings, base.database, repositories, logins, vault)
        )
        host = cls(
            base=base,
            host_id=host_id,
            driver=driver,
            registry=registry,
            pool=pool,
            pools=Pools.of(
                settings,
                base.database,
                pool=pool,
                rows=machines.rows,
                registry=registry,
                driver=driver,
                repositories=repositories,
                image=image,
                engine_image=engine_image,
                grants=grants,
            ),
            repositories=repositories,
            checkpoints=_checkpoints(settings, base.database),
            deletions=Deletions(
                base.database,
                DirectoryBlobs(settings.checkpoints_dir),
                grants.forget if grants else None,
            ),
            image=image,
            engine_image=engine_image,
            grants=grants,
            way_out=way_out,
            automations=Reading(base.database, repositories),
            rights=await open_rights(stack, settings, base.database),
            installed=installed,
            delivery=delivery,
        )
        await host.report()
        log.info("reconciled", **await host.reconcile())
        await host.pools.keeper.repair()
        chores = asyncio.create_task(run_chores(host.chores(stack), base.signals.stop))
        stack.push_async_callback(_end, chores)
        visiting = relay_open(base, host_id, pool=pool, registry=registry, authority=authority)
        await stack.enter_async_context(visiting)
        return host

    async def report(self) -> None:
        """Say that this host is here."""
        await self.registry.report_host(
            driver=self.driver.name,
            accelerator=self.driver.accelerator,
            boot_id=read_boot_id(),
        )

    async def give_up_silent(self) -> None:
        """Wait no more for hosts that are silent, and let workers look for their sessions."""
        silent = await self.registry.give_up_silent(self.base.settings.queue.host_grace_seconds)
        for host in silent:
            log.error("host_given_up", host=host.name, silent_since=host.seen_at.isoformat())
        if silent:
            self.base.database.hint((READY, ""))

    async def remove_images(self) -> None:
        """Renew the guest image when it is too old, and remove those that nothing needs."""
        in_use = await self.registry.images_in_use()
        newest = {(await self.image.renewed()).digest}
        if self.engine_image.is_used:
            newest.add((await self.engine_image.renewed()).digest)
        await remove_unused(self.base.settings.image_cache, {*in_use, *newest})

    async def sweep(self) -> None:
        """Remove the files of sessions and projects that are gone."""
        database = self.base.database

        async def projects() -> list[UUID]:
            async with database.begin() as tx:
                return list((await tx.execute(_MIRRORED)).scalars())

        await self.repositories.sweep(projects)
        await self.checkpoints.sweep()

    async def reconcile(self) -> dict[str, int]:
        """Make rows and host agree; how often each remedy was needed."""
        counts = await reconcile(self.pool, self.registry, self.driver)
        return {str(remedy): count for remedy, count in counts.items()}

    def chores(self, stack: AsyncExitStack) -> list[Chore]:
        """What is done again and again on a host."""
        asked = asyncio.Event()
        stack.callback(self.base.listener.on(MACHINE_HINTS, lambda _: asked.set()))
        lacking = self.pools.keeper.lacking
        stack.callback(self.base.listener.on(MACHINE_HINTS, lambda _: lacking.set()))
        halted = asyncio.Event()
        # With a payload it is about one session, whose turn gives up its own grants.
        stack.callback(self.base.listener.on(CONTROL, lambda about: _unless_one(about, halted)))
        idle = self.base.settings.machine.idle_seconds
        return [
            Chore(name="requests", seconds=5, run=self.pool.obey, wake=asked),
            Chore(
                name="idle", seconds=min(idle / 4, IDLE_CHECK_SECONDS_MAX), run=self.pool.rest_idle
            ),
            Chore(name="pressure", seconds=PRESSURE_SECONDS, run=self.pool.relieve),
            Chore(name="standing still", seconds=STILL_SECONDS, run=self.pool.let_jobs_go_on),
            Chore(name="reconcile", seconds=RECONCILE_SECONDS, run=self.reconcile),
            Chore(name="retention", seconds=HOUR_SECONDS, run=self.pool.remove_expired),
            Chore(name="scrub", seconds=HOUR_SECONDS / 4, run=self.driver.scrub_next),
            Chore(name="deletions", seconds=DELETIONS_SECONDS, run=self.deletions.go_on),
            Chore(name="images", seconds=HOUR_SECONDS, run=self.remove_images),
            Chore(name="sweep", seconds=HOUR_SECONDS, run=self.sweep),
            Chore(name="report", seconds=REPORT_SECONDS, run=self.report),
            Chore(name="silent hosts", seconds=REPORT_SECONDS, run=self.give_up_silent),
            Chore(name="gauges", seconds=5, run=self.gauge),
            Chore(name="charges", seconds=CHARGES_SECONDS, run=self.way_out.spending.sweep),
            Chore(
                name="automations",
                seconds=LOOK_SECONDS,
                run=self.automations.once,
                wake=self.automations.wake,
            ),
            *([self.grants.sweeping(halted)] if self.grants else []),
            *(self._pool_chores() if self.base.settings.pool.enabled else []),
        ]

    def _pool_chores(self) -> list[Chore]:
        keeper = self.pools.keeper
        return [
            Chore(name="handouts", seconds=HOUR_SECONDS, run=keeper.forget),
            Chore(name="pools", seconds=POOL_SECONDS, run=keeper.tend, wake=self.pool.claimed),
            Chore(
                name="templates",
                seconds=POOL_SECONDS,
                run=self.pools.templates.build_due,
                wake=keeper.lacking,
            ),
            Chore(name="builds", seconds=5, run=self.pools.templates.give_up_unwanted),
        ]

    async def gauge(self) -> None:
        """Count the machines and write the metrics of this process."""
        counts: dict[str, int] = {}
        for machine in await self.registry.mine():
            counts[machine.state.value] = counts.get(machine.state.value, 0) + 1
        MACHINES.clear()
        for state, count in counts.items():
            MACHINES.labels(state=state).set(count)
        write_work_metrics(self.base.settings.metrics_file)

    def worker(self) -> Worker:
        """The worker that runs turns in this host's machines."""
        base, settings = self.base, self.base.settings
        queue = WorkQueue(
            base.database,
            owner=base.owner,
            host_id=self.host_id,
            lease_seconds=settings.queue.lease_seconds,
        )
        means = Means(
            queue=queue,
            workplaces=self.workplaces(),
            agents=adapters_of(settings),
            limits=TurnLimits(
                seconds_max=settings.turn.seconds_max,
                output_bytes_max=settings.turn.output_bytes_max,
                question_seconds_max=settings.turn.question_seconds_max,
                session=SessionLimits(
                    turns_max=settings.session.turns_max,
                    seconds_max=settings.session.seconds_max,
                    repeats_max=settings.turn.repeats_max,
                ),
            ),
            grants=self.grants,
            delivery=self.delivery,
            servers=self.way_out.servers,
            offers=offers_of(settings),
            rights=self.rights,
            instructing=Instructing(base.database, self.installed, told_at(settings)),
        )
        limits = WorkerLimits(
            turns_max=settings.queue.turns_max,
            for_people=settings.queue.kept_for_people,
            poll_seconds=settings.queue.poll_seconds,
            finish_seconds=settings.queue.finish_seconds,
        )
        return Worker(queue, Turns(means), base.listener, limits)

    def workplaces(self) -> MachineWorkplaces:
        """The way from a session to its machine."""
        return MachineWorkplaces(
            self.base.database,
            self.pool,
            self.repositories,
            self.checkpoints,
            host_id=self.host_id,
            image=self.image,
            sizes=sizes(self.base.settings),
            environment=self.way_out.environment,
            forward=partial(forward, self.base.settings, self.base.database),
        )


def _checkpoints(settings: Settings, database: Database) -> Checkpoints:
    return Checkpoints(
        database,
        DirectoryBlobs(settings.checkpoints_dir),
        bytes_max=settings.checkpoint.bytes_max,
        inline_bytes_max=settings.checkpoint.inline_bytes_max,
        file_bytes_max=settings.checkpoint.file_bytes_max,
        conversations=conversations(settings),
        undo_turns_max=settings.checkpoint.undo_turns_max,
    )


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _unless_one(about: str, halted: asyncio.Event) -> None:
    if not about:
        halted.set()
