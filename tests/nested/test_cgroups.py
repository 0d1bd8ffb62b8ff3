"""Machines in cgroups of the real kernel: entered, bounded, removed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, local_rig, real_cloud_hypervisor, started
from vmpool.drivers.cgroup import Bounds, Cgroups, entering
from vmpool.drivers.process import Process, ended, kill, start

pytestmark = pytest.mark.nested

HOG = "x = bytearray(256 << 20)"
THREADS = "import threading as t; [t.Thread(target=t.Event().wait).start() for _ in range(400)]"


@pytest.fixture
def cgroups(tmp_path: Path) -> Cgroups:
    real_cloud_hypervisor()  # skips: only where there is one, there must be cgroups too
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
    assert cgroups._parent is not None
    return cgroups._parent / launch.token


def _started_in(
    cgroups: Cgroups, token: str, bounds: Bounds, command: list[str], log: Path
) -> Process:
    entry = cgroups.entry(token, bounds)
    assert entry is not None
    try:
        return start([*entering(3), *command], output=log, fds=[entry])
    finally:
        os.close(entry)


async def _gone(rig: LocalRig, place: Path) -> None:
    """Whoever was in it may take a moment to end; then the next look removes it."""
    async with asyncio.timeout(60):
        while place.exists():
            await rig.driver.find()


@pytest.mark.parametrize("program", [HOG, THREADS])
async def test_who_takes_more_than_its_share_is_stopped(
    cgroups: Cgroups, program: str, tmp_path: Path
) -> None:
    bounds = Bounds(memory_mib=64, cpus=1)
    command = [sys.executable, "-c", program]
    process = _started_in(cgroups, "hog", bounds, command, tmp_path / "log")
    try:
        if program is HOG:
            async with asyncio.timeout(60):
                assert await ended(process) == signal.SIGKILL
        else:
            current = cgroups._parent / "hog" / "pids.current"  # type: ignore[operator]
            async with asyncio.timeout(60):
                while int(current.read_text()) < 256:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(5)
            assert int(current.read_text()) == 256
    finally:
        cgroups.leave("hog")
        await kill(process)
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
    await _gone(rig, place)
    await rig.driver.resume(machine_id)
    place = place_of(rig, cgroups, machine_id)
    assert int((place / "memory.max").read_text()) == (rig.spec.memory_mib + 128) << 20
    await rig.driver.destroy(machine_id)
    await _gone(rig, place)


async def test_what_lies_in_a_cgroup_of_no_machine_is_ended(
    rig: LocalRig, cgroups: Cgroups, tmp_path: Path
) -> None:
    bounds = Bounds(memory_mib=64, cpus=1)
    stray = _started_in(cgroups, "stray", bounds, ["sleep", "600"], tmp_path / "log")
    assert cgroups._parent is not None
    async with asyncio.timeout(30):
        while not (cgroups._parent / "stray" / "cgroup.procs").read_text():
            await asyncio.sleep(0.05)
    await rig.driver.find()
    async with asyncio.timeout(30):
        assert await ended(stray) == signal.SIGKILL
    await _gone(rig, cgroups._parent / "stray")
