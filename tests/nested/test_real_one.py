"""What a real Cloud Hypervisor does without a word, and how our driver takes it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contracts.rigs import (
    LocalRig,
    answer,
    local_rig,
    opened,
    real_cloud_hypervisor,
    started,
)
from vmpool.driver import Found

pytestmark = [pytest.mark.nested, pytest.mark.timeout(600)]

WAIT_SECONDS_MAX = 120
MIB = 1 << 20


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[LocalRig]:
    async with local_rig(tmp_path, real_cloud_hypervisor()) as rig:
        yield rig


@pytest.fixture
async def running(rig: LocalRig) -> str:
    return await started(rig)


@pytest.mark.parametrize(
    ("command", "words"),
    [("reboot", "rebooted"), ("panic", "kernel panicked"), ("off", "shut itself down")],
)
async def test_a_guest_that_ends_itself_is_lost_and_said_so(
    rig: LocalRig, running: str, command: str, words: str
) -> None:
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    with await opened(rig, running) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, f"{command} now\n".encode())
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert words in await ending
    assert (await rig.driver.look(running)).found is Found.STOPPED


async def test_a_clone_that_reboots_is_lost(rig: LocalRig, running: str) -> None:
    template_id, clone = rig.new_template_id(), rig.new_id()
    await rig.driver.freeze(running, template_id)
    await rig.driver.clone(template_id, clone)
    await rig.driver.resume(clone)
    ending = asyncio.ensure_future(rig.driver.wait_ended(clone))
    with await opened(rig, clone) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, b"reboot now\n")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert "rebooted" in await ending
    assert (await rig.driver.templates())[0].broken is None


async def test_clones_share_their_template_s_memory(rig: LocalRig, running: str) -> None:
    template_id = rig.new_template_id()
    await answer(rig, running, "fill", "30")
    whole = await answer(rig, running, "sum")
    await rig.driver.freeze(running, template_id)
    memory = rig.root / f"template.{template_id}" / "rest" / "memory"
    before = memory.stat().st_mtime_ns
    for clone in [rig.new_id(), rig.new_id()]:
        await rig.driver.clone(template_id, clone)
        await rig.driver.resume(clone)
        await answer(rig, clone, "echo", "up")
        pid = (await rig.driver.look(clone)).pid
        assert private_dirty_bytes(pid) < rig.spec.memory_mib * MIB // 4
        assert await answer(rig, clone, "sum") == whole
    assert memory.stat().st_mtime_ns == before


async def test_memory_is_whole_over_generations_of_a_rest(rig: LocalRig, running: str) -> None:
    await answer(rig, running, "fill", "30")
    whole = await answer(rig, running, "sum")
    for _ in range(2):
        await rig.driver.hibernate(running)
        await rig.driver.resume(running)
        assert await answer(rig, running, "sum") == whole


def private_dirty_bytes(pid: int | None) -> int:
    """Memory that is the process's alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_Dirty:"))
