"""Machines in cgroups of the real kernel: entered, bounded, removed."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, local_rig, real_cloud_hypervisor, started
from vmpool.drivers.cgroup import Bounds, Cgroups

pytestmark = pytest.mark.nested

HOG = "x = bytearray(256 << 20)"
THREADS = "import threading as t; [t.Thread(target=t.Event().wait).start() for _ in range(400)]"


@pytest.fixture
def cgroups(tmp_path: Path) -> Cgroups:
    found = Cgroups.of(tmp_path)
    assert not found.why_not
    return found


@pytest.fixture
async def rig(tmp_path: Path, cgroups: Cgroups) -> AsyncIterator[LocalRig]:
    async with local_rig(tmp_path, real_cloud_hypervisor()) as rig:
        rig.local._launcher._cgroups = cgroups
        yield rig


def place_of(rig: LocalRig, cgroups: Cgroups, machine_id: str) -> Path:
    launch = rig.local._home(machine_id).read_launch()
    assert launch is not None
    [place] = cgroups.places(launch.token)
    return place


@pytest.mark.parametrize("program", [HOG, THREADS])
def test_who_takes_more_than_its_share_is_stopped(cgroups: Cgroups, program: str) -> None:
    bounds = Bounds(memory_mib=64, cpus=1)
    command = [*cgroups.entering("hog", bounds), sys.executable, "-c", program]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        if program is HOG:
            assert process.wait(60) == -9
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(10)
            current = cgroups._parent / "hog" / "pids.current"  # type: ignore[operator]
            assert int(current.read_text()) <= 256
    finally:
        cgroups.leave("hog")
        process.wait(60)
        cgroups.sweep([])
        cgroups.close()
    assert not cgroups._parent.exists()  # type: ignore[union-attr]


async def test_a_machine_lives_in_its_cgroup_and_takes_it_along(
    rig: LocalRig, cgroups: Cgroups
) -> None:
    machine_id = await started(rig)
    place = place_of(rig, cgroups, machine_id)
    pid = (await rig.driver.look(machine_id)).pid
    # Its own, and a child that watches the size of a terminal.
    assert str(pid) in (place / "cgroup.procs").read_text().split()
    assert int((place / "memory.max").read_text()) == (rig.spec.memory_mib + 128) << 20
    await rig.driver.hibernate(machine_id)
    assert not place.exists()
    await rig.driver.resume(machine_id)
    place = place_of(rig, cgroups, machine_id)
    assert int((place / "memory.max").read_text()) == (rig.spec.memory_mib + 128) << 20
    await rig.driver.destroy(machine_id)
    await rig.driver.find()
    assert not place.exists()


async def test_what_lies_in_a_cgroup_of_no_machine_is_ended(
    rig: LocalRig, cgroups: Cgroups
) -> None:
    command = [*cgroups.entering("stray", Bounds(memory_mib=64, cpus=1)), "sleep", "600"]
    stray = subprocess.Popen(command)
    await rig.driver.find()
    assert stray.wait(30) == -9
    await rig.driver.find()
    assert not (cgroups._parent / "stray").exists()  # type: ignore[operator]
