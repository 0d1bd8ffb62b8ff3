"""What a machine's process may take of its host, from its start to its end: its cgroup."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, faked_rig, started
from tests.contracts.test_cloud_hypervisor_ahead import ahead
from tests.unit.vmpool.test_cgroup import tree
from vmpool.drivers import launcher
from vmpool.drivers.cgroup import Bounds, Cgroups
from vmpool.drivers.cloud_hypervisor.hypervisor import OWN_MEMORY_MIB

WAIT_SECONDS_MAX = 100


class PlainCgroups(Cgroups):
    """In a directory that looks like the kernel's, where no file appears by itself."""

    def entry(self, token: str, bounds: Bounds) -> int | None:
        assert self._parent is not None
        tree(self._parent / token)
        return super().entry(token, bounds)


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tree(tree(tmp_path / "cgroup") / "ona")


@pytest.fixture(params=[0, 1], ids=["started", "ahead"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalRig]:
    """With a process that waits for a machine, or none."""
    monkeypatch.setattr(launcher, "CALM_SECONDS", 0.0)
    async with faked_rig(tmp_path, ahead_max=request.param) as rig:
        rig.local._launcher._cgroups = PlainCgroups(parent)
        yield rig


def place_of(rig: LocalRig, parent: Path, machine_id: str) -> Path:
    launch = rig.local._home(machine_id).read_launch()
    assert launch is not None
    return parent / launch.token


async def test_a_process_is_bounded_by_its_machine_s_size_whatever_it_was_started_for(
    rig: LocalRig, parent: Path
) -> None:
    small = rig.spec
    for spec in (small, replace(small, memory_mib=2 * small.memory_mib, vcpus=3), small):
        waiting = await ahead(rig) if rig.ahead_max and rig.local._launcher._ahead else None
        rig.spec = spec
        machine_id = await started(rig)
        pid = rig._pid(machine_id)
        assert waiting in (None, pid)
        place = place_of(rig, parent, machine_id)
        assert (place / "cgroup.procs").read_text().split() == [str(pid)]
        memory_bytes = (spec.memory_mib + OWN_MEMORY_MIB) << 20
        assert (place / "memory.max").read_text() == str(memory_bytes)
        assert (place / "cpu.max").read_text() == f"{spec.vcpus + 1}00000 100000"
        if rig.ahead_max:
            assert await ahead(rig) != pid


async def test_a_cgroup_goes_with_its_process_and_so_does_one_that_nobody_has(
    rig: LocalRig, parent: Path
) -> None:
    machine_id = await started(rig)
    place, stray = place_of(rig, parent, machine_id), tree(parent / "stray")
    await rig.driver.find()
    assert (stray / "cgroup.kill").read_text() == "1"
    assert not (place / "cgroup.kill").exists()
    await rig.driver.hibernate(machine_id)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not (place / "cgroup.kill").exists():
            await asyncio.sleep(0.01)
