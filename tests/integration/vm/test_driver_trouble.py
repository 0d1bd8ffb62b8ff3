"""Real machines in trouble: cancelled in the middle, hung, ended from inside, asked at once."""

import asyncio
import os
import random
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, answer
from vmpool.driver import Found
from vmpool.drivers.local import DriverLimits, LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.drivers.qemu import qmp as qmp_module
from vmpool.errors import HostUnfit, MachineError, MachineLost, RestRefused

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


@pytest.mark.long
async def test_a_hibernation_cancelled_at_any_moment_leaves_it_running_or_resting(
    rig: LocalRig, running: str
) -> None:
    boot_id = await answer(rig, running, "boot")
    for _ in range(10):
        saving = asyncio.ensure_future(rig.driver.hibernate(running))
        await asyncio.wait([saving], timeout=random.uniform(0, 0.12))
        saving.cancel()
        await asyncio.wait([saving])
        sight = await rig.driver.look(running)
        assert sight.broken is None
        assert sight.found in (Found.RUNNING, Found.RESTING)
        if sight.found is Found.RESTING:
            await rig.driver.resume(running)
        assert await answer(rig, running, "boot") == boot_id


async def test_a_save_that_takes_too_long_is_undone(rig: LocalRig, running: str) -> None:
    limits = DriverLimits(disk_reserve_mib=1, save_seconds_max=0.01)
    await rig.driver.close()
    hasty = LocalDriver(rig.root, Qemu(accelerator="tcg"), limits)
    with pytest.raises(MachineError, match="took longer"):
        await hasty.hibernate(running)
    await hasty.close()
    await rig.reopen()
    assert await answer(rig, running, "echo", "on") == "on"
    assert not list((rig.root / running).glob("rest*"))


async def test_a_hypervisor_that_hangs_is_said_so_and_can_be_destroyed(
    rig: LocalRig, running: str
) -> None:
    pid = (await rig.driver.look(running)).pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    await rig.reopen()
    rig.local._limits = DriverLimits(load_seconds_max=0.2)
    with pytest.raises(MachineError, match="does not answer") as caught:
        await asyncio.wait_for(rig.driver.open_channel(running), 100)
    assert not isinstance(caught.value, MachineLost)
    assert (await rig.driver.look(running)).found is Found.RUNNING
    os.kill(pid, signal.SIGCONT)
    assert await answer(rig, running, "echo", "back") == "back"
    os.kill(pid, signal.SIGSTOP)
    await rig.driver.destroy(running)
    assert rig.leftovers(running) == []


async def test_a_guest_that_shuts_itself_down_is_said_so(rig: LocalRig, running: str) -> None:
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    with await rig.driver.open_channel(running) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, b"off now\n")
        async with asyncio.timeout(100):
            assert "shut itself down" in await ending


async def test_a_panic_of_the_guest_is_said_with_its_words(rig: LocalRig, running: str) -> None:
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    with await rig.driver.open_channel(running) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, b"panic now\n")
        async with asyncio.timeout(100):
            assert "kernel panicked: not syncing" in await ending


async def test_a_kernel_that_is_none_never_becomes_a_machine(rig: LocalRig, tmp_path: Path) -> None:
    image = rig.spec.image
    tmp_path.chmod(0o755)  # as the directories of images are
    spec = replace(
        rig.spec,
        image=replace(
            image,
            kernel=tmp_path / "kernel",
            initrd=Path(shutil.copy(image.initrd, tmp_path)),
            disk=Path(shutil.copy(image.disk, tmp_path)),
        ),
    )
    machine_id = rig.new_id()
    with pytest.raises(HostUnfit, match="lacks kernel"):
        await rig.driver.create(machine_id, spec)
    apart = replace(spec, image=replace(spec.image, kernel=image.kernel))
    with pytest.raises(HostUnfit, match="beside"):
        await rig.driver.create(machine_id, apart)
    (tmp_path / "kernel").write_bytes(b"x" * 5000)
    (tmp_path / "kernel").chmod(0o644)
    await rig.driver.create(machine_id, spec)
    with pytest.raises(MachineLost, match=r"kernel|linux"):
        await rig.driver.boot(machine_id)
    assert (await rig.driver.look(machine_id)).found is Found.STOPPED


async def test_a_missing_hypervisor_is_told_to_the_operator(rig: LocalRig) -> None:
    driver = LocalDriver(rig.root, Qemu(accelerator="tcg", binary="/nonexistent/qemu"))
    machine_id = rig.new_id()
    await driver.create(machine_id, rig.spec)
    with pytest.raises(HostUnfit, match="install"):
        await driver.boot(machine_id)
    assert (await driver.look(machine_id)).found is Found.STOPPED
    await driver.close()


async def test_memory_that_is_altered_in_the_middle_is_refused_after_the_load_fails(
    rig: LocalRig, running: str
) -> None:
    await rig.driver.hibernate(running)
    await rig.settled(running)
    memory = rig.root / running / "rest" / "memory"
    length = memory.stat().st_size
    with memory.open("r+b") as file:
        file.seek(length // 2)
        file.write(os.urandom(length // 4))
    with pytest.raises((RestRefused, MachineLost)):
        await rig.driver.resume(running)
    sight = await rig.driver.look(running)
    assert sight.found is Found.STOPPED
    assert sight.pid is None
    assert sight.broken


async def test_a_rest_of_another_build_is_refused(rig: LocalRig, running: str) -> None:
    await rig.driver.hibernate(running)
    await rig.driver.close()
    other = rig.root.parent / "other-qemu"
    other.write_text(
        "#!/bin/sh\n"
        """echo '{"QMP":{"version":{"qemu":{"major":9,"minor":0,"micro":0},"package":""}}}'\n"""
        """echo '{"return": {}}'\n"""
    )
    other.chmod(0o755)
    driver = LocalDriver(rig.root, Qemu(accelerator="tcg", binary=str(other)))
    assert "here is 9.0.0" in ((await driver.look(running)).broken or "")
    with pytest.raises(RestRefused, match="was written by"):
        await driver.resume(running)
    await driver.close()
    await rig.reopen()
    await rig.driver.resume(running)
    assert await answer(rig, running, "echo", "same") == "same"


async def test_many_may_look_ask_and_wait_at_once(rig: LocalRig, running: str) -> None:
    await rig.reopen()
    waiting = [asyncio.ensure_future(rig.driver.wait_ended(running)) for _ in range(5)]
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(rig.driver.look(running))
            group.create_task(rig.driver.unpause(running))
        group.create_task(rig.driver.find())
    await rig.kill(running)
    async with asyncio.timeout(100):
        assert len(set(await asyncio.gather(*waiting))) == 1


async def test_an_answer_that_never_comes_does_not_block_a_hibernation_for_ever(
    rig: LocalRig, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = (await rig.driver.look(running)).pid
    assert pid
    boot_id = await answer(rig, running, "boot")
    monkeypatch.setattr(qmp_module, "COMMAND_SECONDS_MAX", 0.2)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(MachineError, match="does not answer"):
        await asyncio.wait_for(rig.driver.hibernate(running), 100)
    os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    assert await answer(rig, running, "boot") == boot_id
    assert not list((rig.root / running).glob("rest*"))


async def test_rests_are_scrubbed_one_after_the_other(rig: LocalRig, running: str) -> None:
    assert await rig.local.scrub_next() is None
    await rig.driver.hibernate(running)
    await rig.settled(running)
    assert await rig.local.scrub_next() is None
    assert (await rig.driver.look(running)).found is Found.RESTING
    memory = rig.root / running / "rest" / "memory"
    with memory.open("r+b") as file:
        file.seek(memory.stat().st_size // 2)
        file.write(b"rot")
    assert "altered" in (await rig.local.scrub_next() or "")
    assert (await rig.driver.look(running)).broken
    with pytest.raises(RestRefused, match="altered"):
        await rig.driver.resume(running)


async def test_hibernating_again_at_once_leaves_a_rest_that_holds(
    rig: LocalRig, running: str
) -> None:
    for _ in range(5):
        await rig.driver.hibernate(running)
        await rig.driver.resume(running)
    await rig.driver.hibernate(running)
    await rig.settled(running)
    assert (await rig.driver.look(running)).durable
    assert await rig.local.scrub(running) is None
    await rig.driver.resume(running)
    assert await answer(rig, running, "echo", "holds") == "holds"
