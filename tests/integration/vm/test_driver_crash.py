"""Our process is killed at any moment of a machine's life; nothing is silently wrong afterwards."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, answer, local_rig
from vmpool.driver import Found
from vmpool.drivers.qemu import Qemu
from vmpool.errors import HostFull

CHILD = Path(__file__).with_name("driver_child.py")
KILLS_PER_OPERATION = int(os.environ.get("ONA_TEST_KILLS", "8"))

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


async def killed_while(rig: LocalRig, machine_id: str, operation: str, after: float) -> None:
    """Let a process of ours begin something and kill it some time later."""
    await rig.driver.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(rig.root), machine_id, operation,
        stdout=subprocess.PIPE,
        cwd=Path.cwd(),
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"begun\n"
    await asyncio.sleep(after)
    if child.returncode is None:
        child.send_signal(signal.SIGKILL)
    await child.wait()
    await rig.reopen()


@pytest.mark.long
async def test_a_kill_in_a_hibernation_leaves_it_running_or_resting(
    rig: LocalRig, running: str
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    boot_id = await answer(rig, running, "boot")
    seen = []
    for turn in range(KILLS_PER_OPERATION):
        await answer(rig, running, "write", "turn", str(turn))
        await killed_while(rig, running, "hibernate", moments.uniform(0, 0.1))
        if turn % 2:
            [sight] = await rig.driver.find()
            assert (sight.pid is None) is (sight.found is Found.RESTING)
        sight = await rig.driver.look(running)
        seen.append(sight.found)
        assert sight.broken is None
        assert sight.found in (Found.RUNNING, Found.RESTING)
        if sight.found is Found.RESTING:
            await rig.driver.resume(running)
        assert await answer(rig, running, "boot") == boot_id
        assert await answer(rig, running, "read", "turn") == str(turn)
        assert not list((rig.root / running).glob("rest*"))
    print(seen)


@pytest.mark.long
async def test_a_kill_in_a_resume_leaves_it_running_or_resting(rig: LocalRig, running: str) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    boot_id = await answer(rig, running, "boot")
    for turn in range(KILLS_PER_OPERATION):
        await answer(rig, running, "write", "turn", str(turn))
        await rig.driver.hibernate(running)
        await killed_while(rig, running, "resume", moments.uniform(0, 0.2))
        sight = await rig.driver.look(running)
        assert sight.broken is None
        assert sight.found in (Found.RUNNING, Found.RESTING)
        await rig.driver.resume(running)
        assert await answer(rig, running, "boot") == boot_id
        assert await answer(rig, running, "read", "turn") == str(turn)
        assert len(rig.leftovers(running)) == 2  # one directory, one process


@pytest.mark.long
@pytest.mark.parametrize("operation", ["boot", "destroy"])
async def test_a_kill_in_a_boot_or_removal_leaves_nothing_unseen(
    rig: LocalRig, operation: str
) -> None:
    moments = random.Random()
    for _ in range(KILLS_PER_OPERATION // 2):
        machine_id = rig.new_id()
        await rig.driver.create(machine_id, rig.spec)
        if operation == "destroy":
            await rig.driver.boot(machine_id)
        await killed_while(rig, machine_id, operation, moments.uniform(0, 0.06))
        processes = [left for left in rig.leftovers(machine_id) if not Path(left).exists()]
        sights = [sight for sight in await rig.driver.find() if sight.machine_id == machine_id]
        assert len(processes) == len([sight for sight in sights if sight.pid is not None])
        await rig.driver.destroy(machine_id)
        assert rig.leftovers(machine_id) == []


async def test_an_interrupted_hibernation_goes_on_running_as_soon_as_we_look(
    rig: LocalRig, running: str
) -> None:
    before = int(await answer(rig, running, "count"))
    await rig.driver.pause(running)
    (rig.root / running / "rest.partial").mkdir()
    await rig.reopen()
    assert [sight.found for sight in await rig.driver.find()] == [Found.RUNNING]
    assert not (rig.root / running / "rest.partial").exists()
    async with asyncio.timeout(100):
        while int(await answer(rig, running, "count")) <= before:
            pass


async def test_looking_meddles_with_no_hibernation_under_way(rig: LocalRig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    for _ in range(3):
        saving = asyncio.ensure_future(rig.driver.hibernate(running))
        while not saving.done():
            await rig.driver.find()
        await saving
        resuming = asyncio.ensure_future(rig.driver.resume(running))
        while not resuming.done():
            await rig.driver.find()
        await resuming
    assert await answer(rig, running, "boot") == boot_id


async def test_a_hypervisor_that_dies_in_a_save_leaves_a_stopped_machine(
    rig: LocalRig, running: str
) -> None:
    rest = rig.root / running / "rest.partial"
    rest.mkdir()
    (rest / "memory").write_bytes(b"half")
    await rig.kill(running)
    await rig.driver.wait_ended(running)
    await rig.reopen()
    sight = await rig.driver.look(running)
    assert sight.found is Found.STOPPED
    assert "half-written" in (sight.broken or "")


async def test_a_process_whose_record_was_never_written_is_found(
    rig: LocalRig, running: str
) -> None:
    record = rig.root / running / "process.json"
    pid = (await rig.driver.look(running)).pid
    await rig.driver.close()
    record.write_text(json.dumps({**json.loads(record.read_text()), "process": None}))
    await rig.reopen()
    assert (await rig.driver.look(running)).pid == pid
    assert await answer(rig, running, "echo", "adopted") == "adopted"


async def test_a_process_whose_directory_is_gone_is_found_and_removed(
    rig: LocalRig, running: str
) -> None:
    await rig.driver.close()
    moved = rig.root / f".{uuid.uuid4()}"
    (rig.root / running).rename(moved)
    await rig.reopen()
    assert (await rig.driver.look(running)).found is Found.ABSENT
    [sight] = await rig.driver.find()
    assert sight.found is Found.RUNNING
    assert sight.broken
    assert await rig.driver.look(sight.machine_id) == sight
    await rig.driver.destroy(sight.machine_id)
    assert await rig.driver.find() == []


async def test_somebody_elses_process_with_our_pid_is_not_ours(rig: LocalRig, running: str) -> None:
    record = rig.root / running / "process.json"
    told = record.read_text()
    await rig.kill(running)
    await rig.driver.wait_ended(running)
    await rig.reopen()
    pid = told.partition('"pid": ')[2].partition(",")[0]
    record.write_text(told.replace(f'"pid": {pid}', f'"pid": {os.getpid()}'))
    sight = await rig.driver.look(running)
    assert (sight.found, sight.pid) == (Found.STOPPED, None)
    await rig.driver.destroy(running)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
async def test_a_disk_that_is_really_full_leaves_the_machine_running(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
    try:
        async with local_rig(small, Qemu(accelerator="tcg")) as rig:
            machine_id = rig.new_id()
            await rig.driver.create(machine_id, rig.spec)
            with pytest.raises(HostFull):
                await rig.driver.boot(machine_id)
            rig.ignore_free_space()
            await rig.driver.boot(machine_id)
            boot_id = await answer(rig, machine_id, "boot")
            with pytest.raises(HostFull):
                await rig.driver.hibernate(machine_id)
            assert await answer(rig, machine_id, "boot") == boot_id
            assert not list((rig.root / machine_id).glob("rest*"))
    finally:
        subprocess.run(["umount", small], check=True)


async def test_a_talkative_guest_fills_no_disk(rig: LocalRig, running: str) -> None:
    console = rig.root / running / "console.log"
    await answer(rig, running, "noise", "2")
    async with asyncio.timeout(100):
        while console.stat().st_size > 1 << 20:
            await asyncio.sleep(0.1)
    assert await answer(rig, running, "echo", "still") == "still"
