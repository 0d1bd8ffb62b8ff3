"""The machines of one host, put together: what runs them, their rows, and the pool over both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from bot.config import Settings
from bot.gateway import WayOut
from bot.govern.grants import Grants
from bot.ground import Ground
from bot.hypervisor import Chosen, chosen_hypervisor
from bot.metrics import HIBERNATE_SECONDS
from bot.store.database import Database
from bot.store.ids import new_id
from bot.work.queue import Event, append_events, lock_session
from vmpool.driver import Driver
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.local import LocalDriver
from vmpool.machine import MachineState
from vmpool.pool import Pool, PoolLimits
from vmpool.registry import Registry
from vmpool.ssh import Authority
from vmpool.warm.rows import Rows

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Works:
    """What works on this host."""

    chosen: Chosen
    cgroups: Cgroups


async def what_works(settings: Settings, kernel: Path | None) -> Works:
    """Find it out, and say so in the log. :raises HostUnfit: no hypervisor does"""
    chosen = await chosen_hypervisor(settings, kernel)
    log.info("hypervisor", name=chosen.hypervisor.name, why=chosen.why)
    cgroups, isolation = Cgroups.of(settings.machines_dir), chosen.isolation
    log.info("machines_bounded", bounded=not cgroups.why_not, why_not=cgroups.why_not)
    log.info(
        "machines_isolated",
        seats=isolation.has_slots,
        landlock=isolation.has_landlock,
        why_not=isolation.why_not,
    )
    return Works(chosen=chosen, cgroups=cgroups)


@dataclass(frozen=True, kw_only=True)
class HostMachines:
    """The parts that a host's machines are opened, kept and seen by."""

    driver: Driver
    registry: Registry
    rows: Rows
    pool: Pool

    @classmethod
    def of(
        cls,
        base: Ground,
        works: Works,
        *,
        host_id: UUID,
        way_out: WayOut,
        grants: Grants | None,
        authority: Authority,
    ) -> "HostMachines":
        """Put them together; whoever does closes the pool."""
        isolation = works.chosen.isolation
        driver = LocalDriver(
            base.settings.machines_dir,
            works.chosen.hypervisor,
            cgroups=works.cgroups,
            isolation=isolation,
            way_out=way_out.gateway,
        )
        registry = Registry(base.database.session, host_id, new_id)
        rows = Rows(base.database.session, host_id, new_id)
        pool = Pool(
            registry,
            rows,
            driver,
            _pool_limits(base.settings),
            authority=authority,
            told=_Teller(base.database).tell,
            may_rest=grants.may_rest if grants else None,
            way_out=None if isolation.has_slots else way_out.gateway,
        )
        return cls(driver=driver, registry=registry, rows=rows, pool=pool)


def _pool_limits(settings: Settings) -> PoolLimits:
    limits = settings.machine
    return PoolLimits(
        running_max=limits.running_max,
        running_for_people=limits.kept_for_people,
        memory_mib_max=limits.memory_mib_max,
        boot_seconds=limits.boot_seconds,
        resume_seconds=limits.resume_seconds,
        idle_seconds=limits.idle_seconds,
        retention_days=limits.retention_days,
    )


class _Teller:
    """Tells a session what happened to its machine."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, session_id: UUID, state: str, known: dict[str, Any]) -> None:
        if state == MachineState.RESTING and "seconds" in known:
            HIBERNATE_SECONDS.observe(known["seconds"])
        async with self._database.begin() as tx:
            # A session that is deleted may be gone before its machine was.
            if await lock_session(tx, session_id) is not None:
                event = Event(kind="machine", body={"state": state, **known})
                await append_events(tx, session_id, [event])
