"""The templates and waiting machines of one host, put together."""

import os
from dataclasses import dataclass

from bot.agents import conversations
from bot.config import Settings
from bot.govern.grants import Grants
from bot.store.database import Database
from bot.work.container import Containers, fixed_parts
from bot.work.repository import Repositories
from bot.work.sizes import MachineSize, Sizes
from bot.work.templates import GetImage, ProjectTemplates, TemplateLimits
from vmpool.driver import Driver
from vmpool.pool import Pool
from vmpool.registry import Registry
from vmpool.warm.building import Builder
from vmpool.warm.demand import Demands
from vmpool.warm.keeper import Keeper, KeeperLimits
from vmpool.warm.rows import Rows
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.stock import Stock, StockLimits

DAY_SECONDS = 86400.0
DISK_RESERVE_MIB = 2048
"""Machines that wait leave so much for the rests of sessions."""


@dataclass(frozen=True, kw_only=True)
class Pools:
    """What keeps the pools of a host, and what knows which templates there should be."""

    keeper: Keeper
    templates: ProjectTemplates

    @classmethod
    def of(
        cls,
        settings: Settings,
        database: Database,
        *,
        pool: Pool,
        rows: Rows,
        registry: Registry,
        driver: Driver,
        repositories: Repositories,
        image: GetImage,
        engine_image: GetImage,
        grants: Grants | None,
    ) -> "Pools":
        """Put them together over the machines of `pool`."""
        limits = settings.pool
        at_once = limits.at_once_max or max(1, (os.cpu_count() or 1) // 2)
        stock = Stock(
            rows,
            registry,
            driver,
            pool,
            StockLimits(
                at_once_max=at_once,
                resume_seconds=settings.machine.resume_seconds,
            ),
        )
        builder = Builder(rows, registry, driver, pool, boot_seconds=settings.machine.boot_seconds)
        demands = Demands(
            rows,
            SizingLimits(
                hot_min=limits.hot_min,
                hot_max=limits.hot_max,
                cold_min=limits.cold_min,
                cold_max=limits.cold_max,
                keep_seconds=limits.keep_days * DAY_SECONDS,
                hours=limits.working_hours,
            ),
            at_once=at_once,
        )
        rebuild_seconds = limits.rebuild_minutes * 60
        keeper = Keeper(
            rows,
            driver,
            pool,
            stock=stock,
            builder=builder,
            demands=demands,
            limits=KeeperLimits(rebuild_seconds=rebuild_seconds, disk_reserve_mib=DISK_RESERVE_MIB),
        )
        templates = ProjectTemplates(
            database,
            keeper,
            repositories,
            image=image,
            sizes=sizes(settings),
            limits=TemplateLimits(
                keep_seconds=limits.keep_days * DAY_SECONDS,
                rebuild_seconds=rebuild_seconds,
                setup_seconds_max=limits.setup_minutes * 60,
            ),
            containers=containers(settings),
            engine_image=engine_image,
            granted=grants.of_build if grants is not None else None,
        )
        return cls(keeper=keeper, templates=templates)


def containers(settings: Settings) -> Containers | None:
    """How dev containers are made; None: they are not."""
    wanted = settings.containers
    if not wanted.enabled:
        return None
    kept = sorted(
        {kept for globs in conversations(settings).values() for kept in fixed_parts(globs)}
    )
    return Containers(
        seconds_max=settings.pool.setup_minutes * 60, plain_http=wanted.plain_http, kept=kept
    )


def sizes(settings: Settings) -> Sizes:
    """The sizes of machines that the settings know."""
    return Sizes(
        by_name={
            name: MachineSize(vcpus=size.vcpus, memory_mib=size.memory_mib, disk_gib=size.disk_gib)
            for name, size in settings.sizes.items()
        },
        default=settings.machine.size,
    )
