"""Where the memory of Cloud Hypervisor's machines lies: a file of their own, or the template's."""

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import (
    LocalRig,
    answer,
    faked_rig,
    limit_file_size,
    local_rig,
    opened,
    real_cloud_hypervisor,
    started,
)
from tests.fakes.cloud_hypervisor.guest import FIRST_PORT
from tests.fakes.cloud_hypervisor.words import connections_of
from tests.fakes.tiny_guest import ask
from tests.support.xfs import xfs
from vmpool import rest_files
from vmpool.driver import Found
from vmpool.drivers.cloud_hypervisor import config, events, snapshot
from vmpool.drivers.cloud_hypervisor.control import EVENTS
from vmpool.errors import HostFull, MachineError
from vmpool.rest import RestState

MIB = 1 << 20
MANY_CPUS = 254


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.nested)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalRig]:
    """On a file system that makes files of other files' extents."""
    if request.param == "fake":
        async with faked_rig(tmp_path, on_xfs=True) as rig:
            yield rig
    else:
        with xfs(tmp_path) as place:
            async with local_rig(place, real_cloud_hypervisor()) as rig:
                yield rig


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.nested)])
async def plain(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalRig]:
    """On a file system that can't; what it can is not asked of the kernel."""
    if request.param == "fake":
        async with faked_rig(tmp_path) as rig:
            yield rig
    else:
        async with local_rig(tmp_path, real_cloud_hypervisor()) as rig:
            yield rig


def mapped(rig: LocalRig, machine_id: str) -> set[str]:
    """Which files of the machine's directory its process has mapped, with their rights."""
    found = Path(f"/proc/{rig._pid(machine_id)}/maps").read_text().splitlines()
    here = [line.split() for line in found if f"/{machine_id}/" in line]
    return {f"{line[1]} {Path(line[5]).name}" for line in here}


def taken_mib(path: Path) -> float:
    return path.stat().st_blocks * 512 / MIB


async def template_of(rig: LocalRig, machine_id: str) -> str:
    template_id = rig.new_template_id()
    await rig.driver.freeze(machine_id, template_id)
    return template_id


async def cloned(rig: LocalRig, template_id: str) -> str:
    machine_id = rig.new_id()
    await rig.driver.clone(template_id, machine_id)
    await rig.driver.resume(machine_id)
    await answer(rig, machine_id, "echo", "up")
    return machine_id


async def test_a_booted_machines_memory_is_a_file_that_a_rest_need_not_write(rig: LocalRig) -> None:
    machine_id = await started(rig)
    home = rig.root / machine_id
    assert "rw-s memory" in mapped(rig, machine_id)
    before = (home / "cell/memory").stat().st_ino
    await rig.driver.hibernate(machine_id)
    assert (home / "rest/memory").stat().st_ino == before
    assert not (home / "rest" / snapshot.MEMORY_RANGES).exists()
    assert taken_mib(home / "rest/memory") < rig.spec.memory_mib


async def test_a_resumed_machine_writes_into_a_file_of_its_own(rig: LocalRig) -> None:
    machine_id = await started(rig)
    for _ in range(3):
        await rig.driver.hibernate(machine_id)
        await rig.driver.resume(machine_id)
        assert await answer(rig, machine_id, "echo", "on") == "on"
        assert "rw-s memory" in mapped(rig, machine_id)
    await rig.settled(machine_id)
    home = rig.root / machine_id
    assert sorted(path.name for path in home.glob("rest*")) == []


async def test_the_rest_stays_whole_while_a_resume_is_under_way(rig: LocalRig) -> None:
    machine_id = await started(rig)
    await rig.driver.hibernate(machine_id)
    await rig.settled(machine_id)
    home = rig.local._home(machine_id)
    home.make_cell()
    snapshot.lay_out(home.rest.complete, home, config.config(rig.spec, network=False))
    with home.memory.open("r+b") as file:
        file.write(b"what the guest wrote before the rest was used up")
    assert await rig.local.scrub(machine_id) is None
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_clones_map_the_templates_memory_until_they_rested(rig: LocalRig) -> None:
    template_id = await template_of(rig, await started(rig))
    template = rig.root / f"template.{template_id}" / "rest/memory"
    one, two = await cloned(rig, template_id), await cloned(rig, template_id)
    for each in (one, two):
        assert "rw-p mapped-memory" in mapped(rig, each)
        assert (rig.root / each / "cell/mapped-memory").samefile(template)
        assert not (rig.root / each / "cell/memory").exists()
    altered = template.stat().st_mtime_ns
    await rig.driver.hibernate(one)
    assert (rig.root / one / "rest/memory").stat().st_ino != template.stat().st_ino
    await rig.driver.resume(one)
    assert "rw-s memory" in mapped(rig, one)
    assert await answer(rig, two, "echo", "on") == "on"
    assert template.stat().st_mtime_ns == altered


async def test_without_shared_extents_a_resumed_machine_maps_its_rest(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "reflink", lambda source, target: False)
    machine_id = await started(plain)
    for _ in range(2):
        await plain.driver.hibernate(machine_id)
        await plain.driver.resume(machine_id)
        assert await answer(plain, machine_id, "echo", "on") == "on"
        assert "rw-p mapped-memory" in mapped(plain, machine_id)


async def test_a_full_disk_under_a_mapped_memory_leaves_the_machine_running_whatever_events_say(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "reflink", lambda source, target: False)
    machine_id = await started(plain)
    await plain.driver.hibernate(machine_id)
    await plain.driver.resume(machine_id)
    await answer(plain, machine_id, "write", "note", "kept")
    home = plain.local._home(machine_id)
    assert "vm snapshotted" not in events.read(home.path / EVENTS)
    # More than what it says of itself, and less than a memory.
    limit_file_size(plain._pid(machine_id), str(MIB))
    with pytest.raises(HostFull):
        await plain.driver.hibernate(machine_id)
    limit_file_size(plain._pid(machine_id), "unlimited")
    # It said so before a byte was written, and the request was refused.
    assert "vm snapshotted" in events.read(home.path / EVENTS)
    sight = await plain.driver.look(machine_id)
    assert (sight.found, sight.broken) == (Found.RUNNING, None)
    assert home.rest.state is RestState.NONE
    assert await answer(plain, machine_id, "read", "note") == "kept"
    await plain.driver.hibernate(machine_id)
    await plain.driver.resume(machine_id)
    assert await answer(plain, machine_id, "read", "note") == "kept"


async def test_zeros_in_a_rest_take_no_room_once_it_was_read(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "reflink", lambda source, target: False)
    machine_id = await started(plain)
    await plain.driver.hibernate(machine_id)
    await plain.driver.resume(machine_id)
    await answer(plain, machine_id, "echo", "on")
    await plain.driver.hibernate(machine_id)  # dense: it was mapped
    await plain.settled(machine_id)
    memory = plain.root / machine_id / "rest/memory"
    assert memory.stat().st_size == plain.spec.memory_mib * MIB
    assert taken_mib(memory) < plain.spec.memory_mib
    await plain.driver.resume(machine_id)
    assert await answer(plain, machine_id, "echo", "on") == "on"


async def test_a_snapshot_of_unknown_shape_is_restored_by_copying(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "reflink", lambda source, target: False)
    machine_id = await started(plain)
    await plain.driver.hibernate(machine_id)
    await plain.driver.resume(machine_id)
    count = int(await answer(plain, machine_id, "count"))
    with monkeypatch.context() as patch:
        patch.setattr(snapshot.config, "written_bytes", _unknown)
        await plain.driver.hibernate(machine_id)
    rest = plain.root / machine_id / "rest"
    assert (rest / snapshot.MEMORY_RANGES).samefile(rest / "memory")
    await plain.driver.resume(machine_id)
    assert int(await answer(plain, machine_id, "count")) >= count
    assert not any("memory" in each for each in mapped(plain, machine_id))


def _unknown(state: object) -> int:
    raise KeyError("memory-manager")


async def test_what_running_machines_may_still_write_is_not_given_to_others(rig: LocalRig) -> None:
    machine_id = await started(rig)
    home = rig.local._home(machine_id)
    growth = snapshot.growth_mib(home)
    assert 0 < growth <= rig.spec.memory_mib
    limits = rig.local._limits
    other = rig.new_id()
    await rig.driver.create(other, rig.spec)
    free = rig.driver.free_disk_mib()
    room = free - limits.disk_reserve_mib - rig.spec.memory_mib
    filler = rig.root / "filler"
    with filler.open("wb") as file:
        # Leaves room for the one, and not for what the other may still take.
        os.posix_fallocate(file.fileno(), 0, (room - growth // 2) * MIB)
    with pytest.raises(HostFull, match="must be left"):
        await rig.driver.boot(other)
    os.truncate(filler, 0)  # an unlinked file's room comes back only later on XFS
    assert (await rig.driver.look(other)).found is Found.STOPPED
    await rig.driver.boot(other)


async def test_a_memory_that_became_short_is_refused_before_it_is_mapped(rig: LocalRig) -> None:
    machine_id = await started(rig)
    await rig.driver.hibernate(machine_id)
    rig.spoil(machine_id, "short")
    sight = await rig.driver.look(machine_id)
    assert "bytes, not" in (sight.broken or "")


async def test_a_machine_of_many_cpus_rests_though_its_state_is_long(tmp_path: Path) -> None:
    # Of a real one this wants a host with many processors.
    async with faked_rig(tmp_path) as rig:
        rig.spec = replace(rig.spec, vcpus=MANY_CPUS)
        machine_id = await started(rig)
        count = int(await answer(rig, machine_id, "count"))
        await rig.driver.hibernate(machine_id)
        assert (rig.root / machine_id / "rest/state.json").stat().st_size > 2 * MIB
        await rig.driver.resume(machine_id)
        assert int(await answer(rig, machine_id, "count")) >= count


async def test_a_state_that_is_longer_than_any_should_be_leaves_the_machine_running(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(plain)
    with monkeypatch.context() as patch:
        patch.setattr(rest_files, "SMALL_BYTES_MAX", 16 * 1024)
        with pytest.raises(MachineError, match=r"state\.json is not small; the machine runs on"):
            await plain.driver.hibernate(machine_id)
    sight = await plain.driver.look(machine_id)
    assert (sight.found, sight.broken) == (Found.RUNNING, None)
    assert await answer(plain, machine_id, "echo", "on") == "on"


async def test_who_was_connected_when_a_memory_was_saved_keeps_nobody_out_later(
    tmp_path: Path,
) -> None:
    # A real one lists connections in its state, and closes the first new one of that number.
    async with faked_rig(tmp_path) as rig:
        machine_id = await started(rig)
        with await opened(rig, machine_id) as sock:
            assert await ask(sock, "echo", "on") == "on"
            await rig.driver.hibernate(machine_id)
        (port,) = connections_of(
            json.loads((rig.root / machine_id / "rest/state.json").read_text())
        )
        await rig.driver.resume(machine_id)
        # Its process counts from the start; one of these is of that number.
        for _ in range(port - FIRST_PORT + 1):
            with await rig.driver.open_channel(machine_id) as sock:
                assert await ask(sock, "echo", "again") == "again"
