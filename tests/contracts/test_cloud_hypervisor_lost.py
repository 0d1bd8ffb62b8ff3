"""A guest that begins anew in the same process: its machine is lost, and is never kept for it.

And a rest that is another machine's, or an altered one: it is not restored.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import (
    LocalRig,
    answer,
    faked_rig,
    local_rig,
    opened,
    real_cloud_hypervisor,
    started,
)
from tests.support.xfs import xfs
from vmpool.driver import Found
from vmpool.errors import MachineError, MachineLost
from vmpool.rest import Rest, RestState

WAIT_SECONDS_MAX = 120
NEVER_SECONDS = 3600.0
ENDS = {"reboot": "rebooted", "panic": "kernel panicked", "off": "shut itself down"}
WHY = "the guest rebooted"
ASKED = 3
"""How often a hibernation asks: before it begins, when the CPUs stand still, before its commit."""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.nested)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalRig]:
    """On a file system where a resumed machine has a memory file of its own."""
    if request.param == "fake":
        async with faked_rig(tmp_path, on_xfs=True) as rig:
            yield rig
    else:
        with xfs(tmp_path) as place:
            async with local_rig(place, real_cloud_hypervisor()) as rig:
                yield rig


async def machine(rig: LocalRig, *, resumed: bool) -> str:
    machine_id = await started(rig)
    if resumed:
        await rig.driver.hibernate(machine_id)
        await rig.driver.resume(machine_id)
        await answer(rig, machine_id, "echo", "on")
    return machine_id


async def ends_itself(rig: LocalRig, machine_id: str, how: str) -> None:
    with await opened(rig, machine_id) as sock:
        await asyncio.get_running_loop().sock_sendall(sock, f"{how} now\n".encode())
        await asyncio.sleep(0.1)


async def ended_itself(rig: LocalRig, machine_id: str, how: str) -> None:
    """Return when the guest has done so: what is looked at is not what the driver looks at."""
    await ends_itself(rig, machine_id, how)
    pid, home = rig._pid(machine_id), rig.local._home(machine_id)
    words = b"vm shutdown" if how == "off" else b'"rebooting"'
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while Path(f"/proc/{pid}").exists() and words not in (home.path / "events").read_bytes():
            await asyncio.sleep(0.02)


def nobody_looks(rig: LocalRig) -> None:
    """Whoever is handed a machine has to ask: the clock is not there yet."""
    rig.local._limits = replace(rig.local._limits, look_seconds=NEVER_SECONDS)


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("how", ENDS)
async def test_a_guest_that_ends_itself_is_lost_and_said_so(
    rig: LocalRig, how: str, resumed: bool
) -> None:
    machine_id = await machine(rig, resumed=resumed)
    ending = asyncio.ensure_future(rig.driver.wait_ended(machine_id))
    await ends_itself(rig, machine_id, how)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert ENDS[how] in await ending
    assert (await rig.driver.look(machine_id)).found is Found.STOPPED


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("how", ENDS)
async def test_what_began_anew_is_not_laid_to_rest(rig: LocalRig, how: str, resumed: bool) -> None:
    nobody_looks(rig)
    machine_id = await machine(rig, resumed=resumed)
    await ended_itself(rig, machine_id, how)
    with pytest.raises(MachineLost, match=ENDS[how]):
        await rig.driver.hibernate(machine_id)
    sight = await rig.driver.look(machine_id)
    assert (sight.found, sight.pid) == (Found.STOPPED, None)
    with pytest.raises(MachineError):
        await rig.driver.resume(machine_id)


async def test_what_began_anew_is_given_to_nobody(rig: LocalRig) -> None:
    nobody_looks(rig)
    for act in (rig.driver.open_channel, rig.driver.unpause, rig.driver.pause, rig.driver.resume):
        machine_id = await machine(rig, resumed=False)
        await ended_itself(rig, machine_id, "reboot")
        with pytest.raises(MachineLost, match="rebooted"):
            await act(machine_id)


async def test_an_earlier_process_of_ours_did_not_see_it(rig: LocalRig) -> None:
    nobody_looks(rig)
    machine_id = await machine(rig, resumed=False)
    await ended_itself(rig, machine_id, "reboot")
    await rig.reopen()
    nobody_looks(rig)
    with suppress(MachineLost):
        await rig.driver.hibernate(machine_id)
    assert (await rig.driver.look(machine_id)).found is Found.STOPPED


@pytest.mark.parametrize("at", range(ASKED))
async def test_whenever_it_began_anew_during_a_hibernation_no_rest_is_left(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    nobody_looks(rig)
    asked: list[None] | None = None

    def lost(home: object) -> str | None:
        if asked is None:
            return None
        asked.append(None)
        return WHY if len(asked) == at + 1 else None

    monkeypatch.setattr(rig.hypervisor, "lost", lost)
    machine_id = await machine(rig, resumed=False)
    asked = []
    with pytest.raises(MachineLost, match=WHY):
        await rig.driver.hibernate(machine_id)
    assert len(asked) == at + 1
    assert rig.local._home(machine_id).rest.state is RestState.NONE
    assert (await rig.driver.look(machine_id)).found is Found.STOPPED


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("disks", [], "other disks"), ("pmem", [{"id": "pmem0"}], "what we don't give: pmem")],
)
async def test_a_snapshot_of_another_machine_is_not_restored(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch, name: str, value: object, words: str
) -> None:
    machine_id = await machine(rig, resumed=False)
    await rig.driver.hibernate(machine_id)
    await rig.settled(machine_id)
    said = rig.root / machine_id / "rest/config.json"
    good = said.read_text()
    said.chmod(0o600)
    said.write_text(json.dumps({**json.loads(good), name: value}))
    assert (await rig.driver.look(machine_id)).broken
    # What keeps an altered file away is not what is tried here.
    monkeypatch.setattr(Rest, "refusal", lambda self, stamp: None)
    monkeypatch.setattr(Rest, "scrub", lambda self, stop: None)
    with pytest.raises(MachineLost, match=words):
        await rig.driver.resume(machine_id)
    assert (await rig.driver.look(machine_id)).found is Found.RESTING
    said.write_text(good)
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"
