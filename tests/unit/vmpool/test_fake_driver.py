"""The bad fakes are bad in the way they promise, and only in that."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.driver import FakeDriver, FakeHost
from tests.fakes.driver_trouble import (
    DiesLaterDriver,
    FailsOnStartDriver,
    ForgetfulDriver,
    FullDiskDriver,
    NeverReadyDriver,
    SlowDriver,
)
from tests.fakes.tiny_guest import ask
from vmpool.driver import Driver, Found, Image, MachineSpec
from vmpool.errors import HostFull, MachineLost, RestRefused

IMAGE = Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest="x")
SPEC = MachineSpec(image=IMAGE, vcpus=1, memory_mib=128, disk_gib=1)


@pytest.fixture
async def host() -> AsyncIterator[FakeHost]:
    host = FakeHost()
    yield host
    await host.close()


async def booted(driver: Driver) -> str:
    machine_id = str(uuid.uuid4())
    await driver.create(machine_id, SPEC)
    await driver.boot(machine_id)
    return machine_id


async def test_the_slow_one_waits_until_told(host: FakeHost) -> None:
    driver = SlowDriver(host)
    booting = asyncio.ensure_future(booted(driver))
    await driver.waiting.wait()
    assert not booting.done()
    driver.go.set()
    assert (await driver.look(await booting)).found is Found.RUNNING


async def test_the_silent_one_runs_and_never_answers(host: FakeHost) -> None:
    driver = NeverReadyDriver(host)
    machine_id = await booted(driver)
    with await driver.open_channel(machine_id) as sock, pytest.raises(TimeoutError):
        await ask(sock, "echo", "anybody", seconds_max=0.1)
    assert (await driver.look(machine_id)).found is Found.RUNNING


async def test_the_dying_one_ends_after_its_channel_was_opened(host: FakeHost) -> None:
    driver = DiesLaterDriver(host, after=2)
    machine_id = await booted(driver)
    with await driver.open_channel(machine_id) as sock:
        assert await ask(sock, "echo", "alive") == "alive"
    with await driver.open_channel(machine_id) as sock:
        assert "SIGKILL" in await driver.wait_ended(machine_id)
        assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""


async def test_the_one_that_fails_on_start_leaves_a_stopped_machine(host: FakeHost) -> None:
    driver = FailsOnStartDriver(host)
    with pytest.raises(MachineLost, match="guest memory"):
        await booted(driver)
    assert [sight.found for sight in await driver.find()] == [Found.STOPPED]


async def test_the_forgetful_one_leaves_everything_once(host: FakeHost) -> None:
    driver = ForgetfulDriver(host)
    machine_id = await booted(driver)
    await driver.destroy(machine_id)
    assert (await driver.look(machine_id)).found is Found.RUNNING
    await driver.destroy(machine_id)
    assert (await driver.look(machine_id)).found is Found.ABSENT


async def test_the_one_with_a_full_disk_runs_on(host: FakeHost) -> None:
    driver = FullDiskDriver(host)
    machine_id = await booted(driver)
    with pytest.raises(HostFull):
        await driver.hibernate(machine_id)
    with await driver.open_channel(machine_id) as sock:
        assert await ask(sock, "echo", "on") == "on"


async def test_a_full_host_creates_nothing(host: FakeHost) -> None:
    host.full = True
    with pytest.raises(HostFull):
        await booted(FakeDriver(host))
    assert await FakeDriver(host).find() == []


async def test_a_rest_of_another_build_is_neither_resumed_nor_cloned(host: FakeHost) -> None:
    driver = FakeDriver(host)
    resting, frozen = await booted(driver), await booted(driver)
    await driver.hibernate(resting)
    await driver.freeze(frozen, "t")
    host.build = "fake 2"
    with pytest.raises(RestRefused, match="made by fake 1, and this is fake 2"):
        await driver.resume(resting)
    with pytest.raises(RestRefused, match="made by fake 1"):
        await driver.clone("t", str(uuid.uuid4()))
    assert (await driver.look(resting)).found is Found.STOPPED
    assert [sight.broken is not None for sight in await driver.templates()] == [True]


async def test_no_process_of_this_host_has_the_number_of_a_fake_one(host: FakeHost) -> None:
    driver = FakeDriver(host)
    sight = await driver.look(await booted(driver))
    assert sight.pid is not None
    assert sight.pid > int(Path("/proc/sys/kernel/pid_max").read_text())
