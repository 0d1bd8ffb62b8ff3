"""What stands between a snapshot and its durability, and what waits until after."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, answer, faked_rig, started
from vmpool.drivers import process
from vmpool.drivers.isolation import Isolation
from vmpool.rest import Rest

WAIT_SECONDS_MAX = 30


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
