"""Processes of Cloud Hypervisor that wait for a machine, and what becomes of them."""

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import (
    LocalRig,
    answer,
    faked_rig,
    local_rig,
    real_cloud_hypervisor,
    started,
)
from vmpool.driver import Found
from vmpool.drivers import launcher
from vmpool.drivers.home import Home
from vmpool.drivers.process import marked


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.nested)])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalRig]:
    monkeypatch.setattr(launcher, "CALM_SECONDS", 0.0)
    if request.param == "fake":
        async with faked_rig(tmp_path, ahead_max=1) as rig:
            yield rig
    else:
        async with local_rig(tmp_path, real_cloud_hypervisor(), ahead_max=1) as rig:
            yield rig


async def ahead(rig: LocalRig) -> int:
    """The pid of the one that waits, once it does."""
    preparing = rig.local._launcher._preparing
    assert preparing is not None
    await asyncio.wait([preparing])
    [waiting] = rig.local._launcher._ahead
    assert waiting.launch.process is not None
    return waiting.launch.process.pid


def directories(rig: LocalRig) -> list[Path]:
    return list(rig.root.glob("ahead.*"))


async def pid_of(rig: LocalRig, machine_id: str) -> int | None:
    return (await rig.driver.look(machine_id)).pid


async def test_a_resume_takes_the_process_that_waits(rig: LocalRig) -> None:
    machine_id = await started(rig)
    count = int(await answer(rig, machine_id, "count"))
    await rig.driver.hibernate(machine_id)
    waiting = await ahead(rig)
    await rig.driver.resume(machine_id)
    assert await pid_of(rig, machine_id) == waiting
    assert int(await answer(rig, machine_id, "count")) >= count
    assert await ahead(rig) != waiting
    await rig.driver.hibernate(machine_id)
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_a_boot_takes_it_too_and_its_end_is_seen(rig: LocalRig) -> None:
    await started(rig)
    waiting = await ahead(rig)
    machine_id = await started(rig)
    assert await pid_of(rig, machine_id) == waiting
    ending = asyncio.ensure_future(rig.driver.wait_ended(machine_id))
    with await rig.driver.open_channel(machine_id) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, b"off now\n")
        async with asyncio.timeout(100):
            assert "shut itself down" in await ending


async def test_the_console_goes_on_in_the_process_that_waited(rig: LocalRig) -> None:
    machine_id = await started(rig)
    console = rig.root / machine_id / "console.log"
    console.write_bytes(b"said before\n" + console.read_bytes())
    await rig.driver.hibernate(machine_id)
    await ahead(rig)
    await rig.driver.resume(machine_id)
    assert b"said before" in console.read_bytes()


async def test_one_that_waits_is_no_machine_and_goes_with_its_owner(rig: LocalRig) -> None:
    machine_id = await started(rig)
    waiting = await ahead(rig)
    assert [sight.machine_id for sight in await rig.driver.find()] == [machine_id]
    assert len(directories(rig)) == 1
    await rig.driver.close()
    assert not directories(rig)
    assert waiting not in {process.pid for process, _ in marked(f"{rig.root}/")}
    await rig.reopen()
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_none_is_started_while_a_machine_comes(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    await ahead(rig)
    await rig.driver.hibernate(machine_id)
    launches = rig.local._launcher
    with launches.first():
        await rig.driver.resume(machine_id)
        await asyncio.sleep(0.5)
        assert not launches._ahead
    await ahead(rig)
    await rig.driver.hibernate(machine_id)
    monkeypatch.setattr(launcher, "RESTLESS_SECONDS_MAX", 0.3)
    with launches.first():
        # Machines that come without an end keep it waiting for a while, and no longer.
        await rig.driver.resume(machine_id)
        await ahead(rig)


async def test_none_is_started_while_a_paused_machine_that_went_on_gives_its_first_answer(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    await ahead(rig)
    await rig.driver.pause(machine_id)
    await rig.local._launcher._calm()
    monkeypatch.setattr(launcher, "CALM_SECONDS", 60.0)
    await rig.driver.unpause(machine_id)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await rig.local._launcher._calm()


async def test_one_whose_owner_was_killed_is_ended_by_the_next(rig: LocalRig) -> None:
    machine_id = await started(rig)
    waiting = await ahead(rig)
    rig.local._launcher._ahead.clear()  # nobody says goodbye
    await rig.reopen()
    assert [sight.found for sight in await rig.driver.find()] == [Found.RUNNING]
    assert not directories(rig)
    assert waiting not in {process.pid for process, _ in marked(f"{rig.root}/")}
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_what_can_not_be_removed_of_one_keeps_no_machine_from_being_taken_over(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    await ahead(rig)
    rig.local._launcher._ahead.clear()  # nobody says goodbye
    (rig.root / "ahead.no token").mkdir()
    (rig.root / "ahead.file").write_text("somebody else's")
    await rig.reopen()
    remove = Home.remove

    def held(home: Home) -> None:
        if home.path.name.startswith("ahead."):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        remove(home)

    with monkeypatch.context() as patch:
        patch.setattr(Home, "remove", held)
        assert [sight.found for sight in await rig.driver.find()] == [Found.RUNNING]
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_one_that_was_killed_meanwhile_is_not_taken(rig: LocalRig) -> None:
    machine_id = await started(rig)
    await rig.driver.hibernate(machine_id)
    waiting = await ahead(rig)
    os.kill(waiting, signal.SIGKILL)
    async with asyncio.timeout(100):
        while waiting in {process.pid for process, _ in marked(f"{rig.root}/")}:
            await asyncio.sleep(0.02)
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"
    assert await pid_of(rig, machine_id) != waiting
    assert await ahead(rig) != waiting


async def test_one_of_another_build_is_not_taken(rig: LocalRig) -> None:
    machine_id = await started(rig)
    await rig.driver.hibernate(machine_id)
    waiting = await ahead(rig)
    [known] = rig.local._launcher._ahead
    rig.local._launcher._ahead[0] = replace(known, build="cloud-hypervisor of yesterday")
    await rig.driver.resume(machine_id)
    assert await pid_of(rig, machine_id) != waiting
    assert await ahead(rig) != waiting
    assert len(directories(rig)) == 1


async def test_a_crash_while_it_is_given_to_a_machine_keeps_the_rest(rig: LocalRig) -> None:
    machine_id = await started(rig)
    await rig.driver.hibernate(machine_id)
    await ahead(rig)
    [waiting] = rig.local._launcher._ahead
    # What a kill leaves after the machine's record was written, and before anything was moved.
    rig.local._home(machine_id).write_launch(waiting.launch)
    rig.local._launcher._ahead.clear()
    await rig.reopen()
    [sight] = await rig.driver.find()
    assert (sight.found, sight.broken) == (Found.RESTING, None)
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"
