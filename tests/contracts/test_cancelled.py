"""What is cancelled at any moment: nothing is left that a removal does not take away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, answer, faked_rig, started
from vmpool.driver import Found
from vmpool.drivers import launcher
from vmpool.drivers.process import marked
from vmpool.errors import MachineError

pytestmark = pytest.mark.slow
MOMENTS_SECONDS = [0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45]
"""Of what takes some tenths of a second; which step that meets is another on each host."""


@pytest.fixture(params=[0, 1], ids=["started", "ahead"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalRig]:
    monkeypatch.setattr(launcher, "CALM_SECONDS", 0.0)
    async with faked_rig(tmp_path, ahead_max=request.param) as rig:
        yield rig


async def cut_short(act: Awaitable[None], seconds: float) -> bool:
    """Cancel it after so long; whether it was under way."""
    task = asyncio.ensure_future(act)
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError, MachineError):
        await task
        return False
    return True


async def nothing_is_left(rig: LocalRig, machine_id: str) -> None:
    await rig.driver.destroy(machine_id)
    assert not (rig.root / machine_id).exists()
    waiting = {each.launch.token for each in rig.local._launcher._ahead}
    under_way = rig.local._launcher._under_way
    tokens = {Path(mark).name for _, mark in marked(f"{rig.root}/")}
    assert tokens <= waiting | under_way
    assert [sight.machine_id for sight in await rig.driver.find()] == []


@pytest.mark.parametrize("verb", ["create", "boot", "clone"])
async def test_whatever_is_made_can_be_removed(rig: LocalRig, verb: str) -> None:
    template_id = rig.new_template_id()
    if verb == "clone":
        await rig.driver.freeze(await started(rig), template_id)
    cut = 0
    for seconds in MOMENTS_SECONDS:
        machine_id = rig.new_id()
        match verb:
            case "create":
                cut += await cut_short(rig.driver.create(machine_id, rig.spec), seconds)
            case "boot":
                await rig.driver.create(machine_id, rig.spec)
                cut += await cut_short(rig.driver.boot(machine_id), seconds)
            case "clone":
                cut += await cut_short(rig.driver.clone(template_id, machine_id), seconds)
        await nothing_is_left(rig, machine_id)
    assert cut


@pytest.mark.parametrize("verb", ["hibernate", "resume"])
async def test_memory_is_kept_whenever_its_way_is_cut_short(rig: LocalRig, verb: str) -> None:
    machine_id = await started(rig)
    boot_id = await answer(rig, machine_id, "boot")
    cut = 0
    for seconds in MOMENTS_SECONDS:
        if verb == "resume":
            await rig.driver.hibernate(machine_id)
        cut += await cut_short(getattr(rig.driver, verb)(machine_id), seconds)
        [sight] = await rig.driver.find()
        assert sight.broken is None
        if sight.found is Found.RESTING:
            await rig.driver.resume(machine_id)
        assert await answer(rig, machine_id, "boot") == boot_id
    assert cut
    await nothing_is_left(rig, machine_id)
