"""What goes wrong around a resume or a hibernation and costs no memory."""

import asyncio
import errno
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.rigs import LocalRig, answer, faked_rig, started
from vmpool.driver import Found, MachineSpec
from vmpool.drivers import launcher, running
from vmpool.drivers.cloud_hypervisor import control
from vmpool.drivers.cloud_hypervisor.api import Api
from vmpool.drivers.home import SAVING, Home
from vmpool.drivers.hypervisor import Control
from vmpool.errors import (
    HostFull,
    HostUnfit,
    MachineError,
    MachineHung,
    MachineLost,
    RestRefused,
)
from vmpool.rest import Rest, Stamp

WAIT_SECONDS_MAX = 30


@pytest.fixture(params=[0, 1], ids=["started", "ahead"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalRig]:
    """With a process that waits for a machine, or none."""
    monkeypatch.setattr(launcher, "CALM_SECONDS", 0.0)
    async with faked_rig(tmp_path, ahead_max=request.param) as rig:
        yield rig


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[LocalRig]:
    async with faked_rig(tmp_path) as rig:
        yield rig


async def rested(rig: LocalRig) -> tuple[str, str]:
    """A machine that rests, and the boot whose memory that is."""
    machine_id = await started(rig)
    boot_id = await answer(rig, machine_id, "boot")
    await rig.driver.hibernate(machine_id)
    if (preparing := rig.local._launcher._preparing) is not None:
        await asyncio.wait([preparing])
    return machine_id, boot_id


async def rests_as_before(rig: LocalRig, machine_id: str, boot_id: str) -> None:
    sight = await rig.driver.look(machine_id)
    assert (sight.found, sight.pid, sight.broken) == (Found.RESTING, None, None)
    assert rig.leftovers("nobody's") == []
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "boot") == boot_id


def no_room(patch: pytest.MonkeyPatch, name: str | None = None) -> None:
    """Nothing small can be written, or no file of this name."""
    for method in ("write_text", "write_bytes"):
        real = getattr(Path, method)

        def write(path: Path, *args: Any, real: Any = real, **known: Any) -> Any:
            if name in (None, path.name):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return real(path, *args, **known)

        patch.setattr(Path, method, write)


async def test_a_process_that_is_killed_while_it_loads_uses_nothing_up(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id, boot_id = await rested(rig)
    restore = Api.restore

    async def dies(api: Api, source: Path, *, seconds_max: float) -> None:
        os.kill(rig._pid(machine_id), signal.SIGKILL)
        await restore(api, source, seconds_max=seconds_max)

    with monkeypatch.context() as patch:
        patch.setattr(Api, "restore", dies)
        with pytest.raises(MachineLost, match="was not loaded"):
            await rig.driver.resume(machine_id)
    await rests_as_before(rig, machine_id, boot_id)


async def is_full(rig: LocalRig, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine_id, boot_id = await rested(rig)
    with monkeypatch.context() as patch:
        no_room(patch, name)
        with pytest.raises(HostFull):
            await rig.driver.resume(machine_id)
    await rests_as_before(rig, machine_id, boot_id)


@pytest.mark.parametrize("name", ["process.json.new", "config.json", "state.json"])
async def test_no_room_for_a_small_file_of_a_resume_is_a_full_host(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await is_full(rig, monkeypatch, name)


async def test_no_room_for_the_log_of_a_process_is_a_full_host(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await is_full(plain, monkeypatch, "hypervisor.log")


def no_descriptor(patch: pytest.MonkeyPatch, name: str) -> None:
    """The next file of this name that is to be read can't be opened: too many are."""
    real, left = Path.read_text, [name]

    def read(path: Path, *args: Any, **known: Any) -> str:
        if path.name in left:
            left.remove(path.name)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return real(path, *args, **known)

    patch.setattr(Path, "read_text", read)


@pytest.mark.parametrize("name", ["process.json", "spec.json", "rest.json"])
async def test_without_a_descriptor_left_nothing_is_said_against_a_machine(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    machine_id, boot_id = await rested(plain)
    if name == "process.json":
        await plain.driver.resume(machine_id)
    with monkeypatch.context() as patch:
        no_descriptor(patch, name)
        [sight] = await plain.driver.find()
        assert sight.found is Found.UNSEEN
        assert os.strerror(errno.EMFILE) in (sight.broken or "")
    if name == "process.json":
        assert (await plain.driver.look(machine_id)).found is Found.RUNNING
        assert await answer(plain, machine_id, "boot") == boot_id
        return
    with monkeypatch.context() as patch:
        no_descriptor(patch, "rest.json")
        with pytest.raises(HostUnfit, match="can't be looked at now"):
            await plain.driver.resume(machine_id)
    await rests_as_before(plain, machine_id, boot_id)


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_full_disk_keeps_no_new_process_of_ours_from_its_machines(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    rig = plain
    machine_id = await started(rig)
    record = rig.root / machine_id / "process.json"
    if not is_known:
        record.write_text(json.dumps({**json.loads(record.read_text()), "process": None}))
    await rig.reopen()
    with monkeypatch.context() as patch:
        no_room(patch)
        assert [sight.found for sight in await rig.driver.find()] == [Found.RUNNING]
        await rig.driver.unpause(machine_id)
        assert await answer(rig, machine_id, "echo", "on") == "on"
        await rig.reopen()
        await rig.driver.destroy(machine_id)
    assert rig.leftovers(machine_id) == []


async def cancelled(resuming: "asyncio.Task[None]", asked: asyncio.Event) -> None:
    """Cancel it as soon as it has got there."""
    await asyncio.wait_for(asked.wait(), WAIT_SECONDS_MAX)
    resuming.cancel()
    await asyncio.sleep(0.05)


async def goes_on(rig: LocalRig, machine_id: str, boot_id: str, *, again: bool) -> None:
    """The next look at it, of this process of ours or of the next, finds it running."""
    if again:
        await rig.reopen()
    [sight] = await rig.driver.find()
    assert (sight.found, sight.broken) == (Found.RUNNING, None)
    assert await answer(rig, machine_id, "boot") == boot_id
    assert not (rig.root / machine_id / "rest.used").exists()


@pytest.mark.parametrize("again", [False, True])
async def test_a_resume_that_is_cancelled_while_its_rest_is_used_up_goes_on(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    machine_id, boot_id = await rested(plain)
    loop, asked, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    use_up = Rest.use_up

    def slowly(rest: Rest) -> None:
        loop.call_soon_threadsafe(asked.set)
        go_on.wait(WAIT_SECONDS_MAX)
        use_up(rest)

    with monkeypatch.context() as patch:
        patch.setattr(Rest, "use_up", slowly)
        resuming = asyncio.create_task(plain.driver.resume(machine_id))
        await cancelled(resuming, asked)
        go_on.set()
        await asyncio.wait([resuming])
    assert resuming.cancelled()
    await goes_on(plain, machine_id, boot_id, again=again)


@pytest.mark.parametrize("again", [False, True])
async def test_a_resume_that_is_cancelled_before_its_cpus_run_goes_on(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    machine_id, boot_id = await rested(plain)
    asked = asyncio.Event()

    async def never(api: Api) -> None:
        asked.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Api, "resume", never)
        resuming = asyncio.create_task(plain.driver.resume(machine_id))
        await cancelled(resuming, asked)
        await asyncio.wait([resuming])
    assert resuming.cancelled()
    await goes_on(plain, machine_id, boot_id, again=again)


@pytest.mark.parametrize("looked", [False, True])
async def test_a_hypervisor_that_stalled_in_a_hibernation_lets_its_machine_go_on(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch, looked: bool
) -> None:
    rig = plain
    machine_id = await started(rig)
    boot_id = await answer(rig, machine_id, "boot")
    home, pid = rig.local._home(machine_id), rig._pid(machine_id)
    with monkeypatch.context() as patch:
        patch.setitem(Api._ask.__kwdefaults__, "seconds_max", 0.2)
        patch.setattr(control, "SNAPSHOT_SECONDS_MAX", 0.2)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(MachineError, match="does not answer"):
            await rig.driver.hibernate(machine_id)
    os.kill(pid, signal.SIGCONT)
    # It was asked to stand still, and does so late.
    api = Api(lambda: home.connect(control.API_SOCKET))
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while await api.state() != "Paused":
            await asyncio.sleep(0.02)
    if looked:
        await rig.driver.find()
        assert await api.state() == "Running"
    assert await answer(rig, machine_id, "boot") == boot_id
    assert not list(home.path.glob("rest*"))


async def test_a_used_rest_that_nobody_got_to_remove_is_removed_by_the_next_look(
    plain: LocalRig,
) -> None:
    machine_id = await started(plain)
    left = plain.root / machine_id / "rest.gone"
    left.mkdir()
    (left / "memory").write_bytes(b"as large as the machine")
    await plain.reopen()
    assert [sight.found for sight in await plain.driver.find()] == [Found.RUNNING]
    await plain.settled(machine_id)
    assert not left.exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped is waited for as shortly as can be."""
    monkeypatch.setattr(running, "STOPPED_POLL_SECONDS", 0.02)
    monkeypatch.setattr(running, "STOPPED_SECONDS_MAX", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("verb", ["ping", "restore"])
async def test_a_process_that_is_stopped_while_it_loads_is_ended_and_uses_nothing_up(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    machine_id, boot_id = await rested(rig)
    pids = stopped_at(monkeypatch, rig, machine_id, verb)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(MachineLost, match=r"was not loaded: .* its process is stopped"):
            await rig.driver.resume(machine_id)
    monkeypatch.undo()
    assert [Path(f"/proc/{pid}").exists() for pid in pids] == [False]
    await rests_as_before(rig, machine_id, boot_id)


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_is_stopped_once_its_rest_is_used_up_is_ended(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id, _ = await rested(rig)
    pids = stopped_at(monkeypatch, rig, machine_id, "resume")
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(MachineHung, match="its process is stopped"):
            await rig.driver.resume(machine_id)
    assert [Path(f"/proc/{pid}").exists() for pid in pids] == [False]
    assert (await rig.driver.look(machine_id)).found is Found.STOPPED


def stopped_at(patch: pytest.MonkeyPatch, rig: LocalRig, machine_id: str, verb: str) -> list[int]:
    """Stop a machine's process when this is asked of it; the ones that were stopped."""
    real, stopped = getattr(Api, verb), list[int]()

    async def stop(api: Api, *args: Any, **known: Any) -> Any:
        stopped.append(rig._pid(machine_id))
        os.kill(stopped[-1], signal.SIGSTOP)
        return await real(api, *args, **known)

    patch.setattr(Api, verb, stop)
    return stopped


@pytest.mark.usefixtures("impatient")
async def test_a_process_that_is_stopped_is_not_hibernated_and_goes_on_when_it_may(
    plain: LocalRig,
) -> None:
    machine_id = await started(plain)
    boot_id = await answer(plain, machine_id, "boot")
    pid = plain._pid(machine_id)
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        with pytest.raises(MachineHung, match="its process is stopped"):
            await plain.driver.hibernate(machine_id)
    assert (await plain.driver.look(machine_id)).found is Found.RUNNING
    os.kill(pid, signal.SIGCONT)
    assert await answer(plain, machine_id, "boot") == boot_id
    await plain.driver.hibernate(machine_id)
    await rests_as_before(plain, machine_id, boot_id)


async def test_a_process_that_is_killed_while_it_writes_a_snapshot_leaves_no_rest(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(plain)
    pid, saving = plain._pid(machine_id), plain.local._home(machine_id).cell / SAVING
    snapshot = Api.snapshot

    async def dies(api: Api, into: Path, *, seconds_max: float) -> None:
        os.kill(pid, signal.SIGKILL)
        # As it leaves them: of full length, whatever was written of it.
        for name in ("config.json", "state.json"):
            (saving / name).write_text("{}")
        with (saving / "memory-ranges").open("wb") as file:
            file.truncate(plain.spec.memory_mib << 20)
        await snapshot(api, into, seconds_max=seconds_max)

    with monkeypatch.context() as patch:
        patch.setattr(Api, "snapshot", dies)
        with pytest.raises(MachineLost, match="SIGKILL"):
            await plain.driver.hibernate(machine_id)
    for again in (False, True):
        if again:
            await plain.reopen()
        [sight] = await plain.driver.find()
        assert (sight.found, sight.pid) == (Found.STOPPED, None)
        with pytest.raises(RestRefused, match=r"no rest|half-written"):
            await plain.driver.resume(machine_id)
    await plain.driver.destroy(machine_id)
    assert plain.leftovers(machine_id) == []


async def test_a_clone_that_was_copied_during_an_upgrade_is_not_resumed_after_it(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    template_id, machine_id = plain.new_template_id(), plain.new_id()
    await plain.driver.freeze(await started(plain), template_id)
    clone, stamp = plain.hypervisor.clone, plain.hypervisor.stamp

    async def upgraded(spec: MachineSpec) -> Stamp:
        return replace(await stamp(spec), build="cloud-hypervisor v60.0")

    async def copies(template: Home, home: Home, spec: MachineSpec) -> Sequence[str]:
        beside_memory = await clone(template, home, spec)
        monkeypatch.setattr(plain.hypervisor, "stamp", upgraded)
        return beside_memory

    monkeypatch.setattr(plain.hypervisor, "clone", copies)
    await plain.driver.clone(template_id, machine_id)
    with pytest.raises(RestRefused, match=r"by cloud-hypervisor v54\.0\.0, here is .* v60\.0"):
        await plain.driver.resume(machine_id)


async def test_a_process_of_an_upgrade_that_came_meanwhile_loads_nothing(
    plain: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id, boot_id = await rested(plain)
    connect = plain.hypervisor.connect

    async def upgraded(home: Home, *, seconds_max: float) -> Control:
        connected = await connect(home, seconds_max=seconds_max)
        connected.version = "cloud-hypervisor v60.0"
        return connected

    async def restore(*_: object, **__: object) -> None:
        raise AssertionError("it was tried")

    with monkeypatch.context() as patch:
        patch.setattr(plain.hypervisor, "connect", upgraded)
        patch.setattr(Api, "restore", restore)
        with pytest.raises(MachineLost, match=r"v54\.0\.0, and this is cloud-hypervisor v60\.0"):
            await plain.driver.resume(machine_id)
    await rests_as_before(plain, machine_id, boot_id)
