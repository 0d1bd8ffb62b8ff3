"""What stands between a snapshot and its durability, what waits until after, and kills between."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.hibernating_child import STEPS
from tests.contracts.rigs import LocalRig, answer, faked_rig, started
from vmpool.driver import Found
from vmpool.drivers import process
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.errors import MachineError
from vmpool.rest import Rest

WAIT_SECONDS_MAX = 30
CHILD = Path(__file__).with_name("hibernating_child.py")
RUNS_ON = {("begin", "before"), ("begin", "after"), ("pause", "before"), ("pause", "after")} | {
    ("snapshot", "before"), ("snapshot", "after"), ("commit", "before")
}  # fmt: skip
"""Where a kill leaves a machine that goes on; everywhere else it rests."""


class NotedIsolation(Isolation):
    """Notes whether a machine's rest was durable at the moment when a seat was given back."""

    def __init__(self, rest: Rest) -> None:
        super().__init__()
        self.durable: list[bool] = []
        self._rest = rest

    async def leave(self, token: str) -> None:
        self.durable.append(self._rest.durable)
        await super().leave(token)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[LocalRig]:
    async with faked_rig(tmp_path, ahead_max=0) as rig:
        yield rig


async def test_a_seat_is_given_back_when_the_rest_is_durable(rig: LocalRig) -> None:
    machine_id = await started(rig)
    noted = NotedIsolation(rig.local._home(machine_id).rest)
    rig.local._launcher._isolation = noted
    await rig.driver.hibernate(machine_id)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not noted.durable:
            await asyncio.sleep(0.01)
    assert noted.durable == [True]


async def test_a_disk_that_does_not_answer_keeps_no_seat(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    noted = NotedIsolation(rig.local._home(machine_id).rest)
    rig.local._launcher._isolation = noted
    monkeypatch.setattr("vmpool.drivers.launcher.PATIENCE_SECONDS", 0.1)
    answers, fsync = Path(rig.root, "answers"), os.fsync
    os.mkfifo(answers)

    def hang(fd: int) -> None:
        answers.open("rb").close()  # until somebody writes
        fsync(fd)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", hang)
            await rig.driver.hibernate(machine_id)
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                while not noted.durable:
                    await asyncio.sleep(0.01)
            assert noted.durable == [False]
    finally:
        # Whatever happened: a thread that waits here would keep the whole run from ending.
        release = os.open(answers, os.O_RDWR)
        await rig.settled(machine_id)
        os.close(release)
    assert rig.local._home(machine_id).rest.durable


async def test_a_rest_is_durable_only_when_its_process_has_ended(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    rest, asked, go_on = rig.local._home(machine_id).rest, asyncio.Event(), asyncio.Event()
    kill = process.kill

    async def slowly(found: process.Process) -> None:
        asked.set()
        await go_on.wait()
        await kill(found)

    monkeypatch.setattr(process, "kill", slowly)
    hibernating = asyncio.create_task(rig.driver.hibernate(machine_id))
    await asyncio.wait_for(asked.wait(), WAIT_SECONDS_MAX)
    await rig.driver.find()  # which settles what rests
    await asyncio.sleep(0.5)
    assert (rest.complete.is_dir(), rest.durable) == (True, False)
    go_on.set()
    await hibernating
    await rig.settled(machine_id)
    assert rest.durable
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_a_hibernation_that_is_cut_short_at_its_end_is_finished_by_the_next_look(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = await started(rig)
    rest, asked = rig.local._home(machine_id).rest, asyncio.Event()

    async def never(found: process.Process) -> None:
        asked.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(process, "kill", never)
        hibernating = asyncio.create_task(rig.driver.hibernate(machine_id))
        await asyncio.wait_for(asked.wait(), WAIT_SECONDS_MAX)
        hibernating.cancel()
        await asyncio.wait([hibernating])
    await rig.settled(machine_id)
    assert not rest.durable
    await rig.reopen()
    await rig.driver.find()
    await rig.settled(machine_id)
    assert rest.durable
    assert (await rig.driver.look(machine_id)).pid is None


async def killed(rig: LocalRig, machine_id: str, step: str, when: str) -> None:
    """Have a process of ours hibernate the machine and die at a step; there is a new one after."""
    hypervisor = rig.hypervisor
    assert isinstance(hypervisor, CloudHypervisor)
    await rig.driver.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(rig.root), hypervisor._binary, machine_id, step, when,
        cwd=Path.cwd(), env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await child.wait() == -signal.SIGKILL
    await rig.reopen()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_at_any_step_leaves_a_machine_that_runs_on_or_rests(
    rig: LocalRig, step: str, when: str
) -> None:
    machine_id = await started(rig)
    await answer(rig, machine_id, "write", "word", "kept")
    boot_id = await answer(rig, machine_id, "boot")
    await killed(rig, machine_id, step, when)
    rest = rig.local._home(machine_id).rest
    alive = (await rig.driver.look(machine_id)).pid is not None
    # Durable it is never called while its process may still write.
    assert not (alive and rest.durable)
    [sight] = await rig.driver.find()
    runs_on = (step, when) in RUNS_ON
    assert sight.found is (Found.RUNNING if runs_on else Found.RESTING)
    assert sight.broken is None
    assert (sight.pid is not None) is runs_on
    await rig.settled(machine_id)
    assert rest.durable is not runs_on
    if not runs_on:
        await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "boot") == boot_id
    assert await answer(rig, machine_id, "read", "word") == "kept"
    await rig.settled(machine_id)  # what it was resumed from is removed behind it
    assert not list((rig.root / machine_id).glob("rest*"))
    await rig.driver.destroy(machine_id)
    assert rig.leftovers(machine_id) == []


async def test_a_clone_that_is_resumed_at_once_costs_no_disk_anything(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    template_id, clones = rig.new_template_id(), [rig.new_id(), rig.new_id()]
    await rig.driver.freeze(await started(rig), template_id)
    made: list[Path] = []
    make_durable = Rest.make_durable

    def noted(rest: Rest, *, flushed: bool) -> None:
        made.append(rest.machine)
        make_durable(rest, flushed=flushed)

    monkeypatch.setattr(Rest, "make_durable", noted)
    for clone in clones:
        await rig.driver.clone(template_id, clone)
    await rig.driver.resume(clones[0])
    await rig.settled(clones[0])
    assert not made
    await rig.settled(clones[1])
    assert made == [rig.root / clones[1]]
    assert rig.local._home(clones[1]).rest.durable


async def test_a_template_is_none_that_the_disk_did_not_keep(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id, template_id = await started(rig), rig.new_template_id()

    def lost(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lost)
        with pytest.raises(MachineError, match="safe on disk"):
            await rig.driver.freeze(machine_id, template_id)
    assert await rig.driver.templates() == []
    assert "did not keep" in ((await rig.driver.look(machine_id)).broken or "")
