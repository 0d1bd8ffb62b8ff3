"""The parts of a host's machines and pools, put together: what the settings say reaches them."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.config import MachineSettings, PoolSettings, Settings
from bot.host_machines import HostMachines, Works
from bot.hypervisor import Chosen
from bot.pools import Pools
from bot.store.ids import new_id
from bot.work.templates import TemplateLimits
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.local import LocalDriver
from vmpool.pool import PoolLimits
from vmpool.warm.keeper import KeeperLimits
from vmpool.warm.sizing import SizingLimits
from vmpool.warm.stock import StockLimits

DAY_SECONDS = 86400.0


@pytest.mark.parametrize("has_slots", [False, True])
async def test_machines_are_bounded_kept_apart_and_limited_as_the_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_slots: bool
) -> None:
    monkeypatch.setattr(Isolation, "has_slots", has_slots)
    machine = MachineSettings(
        running_max=8,
        running_for_people=3,
        memory_mib_max=9000,
        boot_seconds=11,
        resume_seconds=12,
        idle_seconds=13,
        retention_days=14,
    )
    settings = Settings(data_dir=tmp_path, machine=machine)
    chosen = Chosen(hypervisor=CloudHypervisor(), isolation=Isolation(), why="")
    works = Works(chosen=chosen, cgroups=Cgroups(tmp_path))
    gateway, grants = object(), SimpleNamespace(may_rest=object())
    base: Any = SimpleNamespace(settings=settings, database=SimpleNamespace(session=None))
    way_out: Any = SimpleNamespace(gateway=gateway)
    given: Any = {"grants": grants, "authority": object()}
    made = HostMachines.of(base, works, host_id=new_id(), way_out=way_out, **given)
    driver = made.driver
    assert isinstance(driver, LocalDriver)
    assert (driver.root, driver.hypervisor) == (settings.machines_dir, chosen.hypervisor)
    launcher = driver._launcher
    assert (launcher._cgroups, launcher._isolation) == (works.cgroups, chosen.isolation)
    assert launcher._way_out is gateway
    # Those without a network device get out over their channel.
    assert made.pool.care._way_out is (None if has_slots else gateway)
    assert made.pool._may_rest is grants.may_rest
    assert made.pool._limits == PoolLimits(
        running_max=8,
        running_for_people=3,
        memory_mib_max=9000,
        boot_seconds=11,
        resume_seconds=12,
        idle_seconds=13,
        retention_days=14,
    )


def pools_of(settings: Settings) -> Pools:
    parts: Any = dict.fromkeys(
        ("rows", "registry", "driver", "repositories", "image", "engine_image", "grants")
    )
    pool: Any = SimpleNamespace(care=None)
    database: Any = None
    return Pools.of(settings, database, pool=pool, **parts)


def test_pools_and_templates_are_kept_as_the_settings_say(tmp_path: Path) -> None:
    pool = PoolSettings(
        hot_min=2,
        hot_max=9,
        cold_min=3,
        cold_max=7,
        keep_days=5,
        rebuild_minutes=11,
        setup_minutes=13,
        at_once_max=6,
    )
    machine = MachineSettings(boot_seconds=15, resume_seconds=17)
    made = pools_of(Settings(data_dir=tmp_path, pool=pool, machine=machine))
    keeper = made.keeper
    assert keeper._demands._limits == SizingLimits(
        hot_min=2, hot_max=9, cold_min=3, cold_max=7, keep_seconds=5 * DAY_SECONDS
    )
    assert keeper._demands._at_once == 6
    assert keeper._stock._limits == StockLimits(at_once_max=6, resume_seconds=17)
    assert keeper._builder._boot_seconds == 15
    assert keeper._limits == KeeperLimits(rebuild_seconds=660, disk_reserve_mib=2048)
    assert made.templates._limits == TemplateLimits(
        keep_seconds=5 * DAY_SECONDS, rebuild_seconds=660, setup_seconds_max=780
    )


@pytest.mark.parametrize(("processors", "at_once"), [(1, 1), (2, 1), (8, 4), (None, 1)])
def test_so_many_are_made_at_once_as_half_of_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int | None, at_once: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    keeper = pools_of(Settings(data_dir=tmp_path)).keeper
    assert (keeper._stock._limits.at_once_max, keeper._demands._at_once) == (at_once, at_once)


def test_a_moving_branch_has_a_template_built_every_thirty_minutes_at_most(tmp_path: Path) -> None:
    assert pools_of(Settings(data_dir=tmp_path)).keeper._limits.rebuild_seconds == 30 * 60
