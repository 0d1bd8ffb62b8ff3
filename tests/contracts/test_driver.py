"""What every driver does, run on the fake and on real machines.

Both guests speak the lines of `tests.fakes.tiny_guest`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contracts.rigs import (
    SPOILS,
    Rig,
    answer,
    fake_rig,
    faked_rig,
    local_rig,
    opened,
    real_cloud_hypervisor,
    started,
)
from tests.fakes.tiny_guest import ask
from vmpool.driver import Found, MachineSpec, Sight
from vmpool.drivers import running as running_process
from vmpool.drivers.qemu import Qemu
from vmpool.errors import (
    HostFull,
    HostUnfit,
    MachineBusy,
    MachineError,
    MachineHung,
    MachineLost,
    RestRefused,
)

WAIT_SECONDS_MAX = 100
BUSY_SECONDS_MAX = 20


RIGS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Rig]]] = {
    "fake": lambda _: fake_rig(),
    "fake-cloud-hypervisor": faked_rig,
    "fake-cloud-hypervisor-xfs": lambda root: faked_rig(root, on_xfs=True),
    "qemu": lambda root: local_rig(root, Qemu(accelerator="tcg")),
    "cloud-hypervisor": lambda root: local_rig(root, real_cloud_hypervisor()),
}
MARKS = {"qemu": pytest.mark.vm, "cloud-hypervisor": pytest.mark.nested}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in RIGS])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with RIGS[request.param](tmp_path) as rig:
        yield rig


@pytest.fixture
async def running(rig: Rig) -> str:
    return await started(rig)


async def counted(rig: Rig, machine_id: str, enough: Callable[[int], bool]) -> int:
    """Wait until the guest's counter is as wanted."""
    with await opened(rig, machine_id) as sock:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not enough(count := int(await ask(sock, "count"))):
                pass
    return count


async def found(rig: Rig, machine_id: str) -> Sight:
    """What `find` says about a machine; `look` has to say the same."""
    listed = {sight.machine_id: sight for sight in await rig.driver.find()}
    alone = await rig.driver.look(machine_id)
    among = listed.get(machine_id, Sight(machine_id=machine_id, found=Found.ABSENT))
    # A rest may become durable between the two looks.
    assert replace(among, durable=alone.durable) == alone
    return alone


# -- create


async def test_a_machine_never_created_is_absent(rig: Rig) -> None:
    assert (await found(rig, rig.new_id())).found is Found.ABSENT


async def test_a_created_machine_is_stopped(rig: Rig) -> None:
    machine_id = rig.new_id()
    await rig.driver.create(machine_id, rig.spec)
    sight = await found(rig, machine_id)
    assert (sight.found, sight.pid, sight.broken) == (Found.STOPPED, None, None)


async def test_creating_twice_is_creating_once(rig: Rig, running: str) -> None:
    await rig.driver.create(running, rig.spec)
    assert await answer(rig, running, "echo", "still") == "still"


async def test_creating_again_with_another_size_is_refused(rig: Rig) -> None:
    machine_id = rig.new_id()
    await rig.driver.create(machine_id, rig.spec)
    other = MachineSpec(image=rig.spec.image, vcpus=2, memory_mib=256, disk_gib=2)
    with pytest.raises(MachineError, match="another size"):
        await rig.driver.create(machine_id, other)


# -- boot and the channel


async def test_a_booted_machine_answers_on_its_channel(rig: Rig, running: str) -> None:
    assert await answer(rig, running, "echo", "hello") == "hello"
    sight = await found(rig, running)
    assert sight.found is Found.RUNNING
    assert sight.pid


async def test_booting_a_running_machine_changes_nothing(rig: Rig, running: str) -> None:
    before = await answer(rig, running, "boot")
    await rig.driver.boot(running)
    assert await answer(rig, running, "boot") == before


async def test_booting_what_does_not_exist_is_refused(rig: Rig) -> None:
    with pytest.raises(MachineLost):
        await rig.driver.boot(rig.new_id())


async def test_the_channel_has_one_holder(rig: Rig, running: str) -> None:
    with await opened(rig, running) as sock:
        with pytest.raises(MachineBusy):
            await rig.driver.open_channel(running)
        assert await ask(sock, "echo", "mine") == "mine"
    assert await answer(rig, running, "echo", "next") == "next"


async def test_there_is_no_channel_into_a_stopped_machine(rig: Rig) -> None:
    machine_id = rig.new_id()
    await rig.driver.create(machine_id, rig.spec)
    with pytest.raises(MachineLost):
        await rig.driver.open_channel(machine_id)


async def test_two_machines_do_not_share_anything(rig: Rig, running: str) -> None:
    other = rig.new_id()
    await rig.driver.create(other, rig.spec)
    await rig.driver.boot(other)
    await answer(rig, running, "write", "note", "mine")
    assert await answer(rig, other, "read", "note") == ""
    assert await answer(rig, other, "boot") != await answer(rig, running, "boot")


# -- pause


async def test_a_paused_machine_stands_still_and_goes_on(rig: Rig, running: str) -> None:
    before = await counted(rig, running, lambda count: count > 0)
    await rig.driver.pause(running)
    await rig.driver.pause(running)
    await asyncio.sleep(2)  # what is tested: that nothing happens in this time
    await rig.driver.unpause(running)
    await rig.driver.unpause(running)
    after = int(await answer(rig, running, "count"))
    assert before <= after < before + 15
    await counted(rig, running, lambda count: count > after)


async def test_what_is_asked_while_paused_is_answered_afterwards(rig: Rig, running: str) -> None:
    with await opened(rig, running) as sock:
        await rig.driver.pause(running)
        async with asyncio.TaskGroup() as group:
            question = group.create_task(ask(sock, "echo", "later"))
            await asyncio.sleep(0.1)
            assert not question.done()
            await rig.driver.unpause(running)
        assert question.result() == "later"


async def test_a_channel_into_a_paused_machine_works_or_is_refused_soon(
    rig: Rig, running: str
) -> None:
    await rig.driver.pause(running)
    async with asyncio.timeout(BUSY_SECONDS_MAX):
        with suppress(MachineBusy):
            (await rig.driver.open_channel(running)).close()
    await rig.driver.unpause(running)
    assert await answer(rig, running, "echo", "on") == "on"


async def test_pausing_without_a_process_is_refused(rig: Rig) -> None:
    machine_id = rig.new_id()
    await rig.driver.create(machine_id, rig.spec)
    with pytest.raises(MachineLost):
        await rig.driver.pause(machine_id)
    with pytest.raises(MachineLost):
        await rig.driver.unpause(machine_id)


# -- hibernate and resume


async def test_memory_and_disk_survive_hibernation(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    await answer(rig, running, "write", "note", "kept")
    before = await counted(rig, running, lambda count: count > 5)

    await rig.driver.hibernate(running)
    sight = await found(rig, running)
    assert (sight.found, sight.pid, sight.broken) == (Found.RESTING, None, None)
    await rig.driver.resume(running)

    after = int(await answer(rig, running, "count"))
    assert before <= after < before + 100
    await counted(rig, running, lambda count: count > after)
    assert await answer(rig, running, "boot") == boot_id
    assert await answer(rig, running, "read", "note") == "kept"


async def test_a_machine_rests_many_times(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    for turn in ("one", "two", "three"):
        await answer(rig, running, "write", turn, turn)
        await rig.driver.hibernate(running)
        await rig.driver.resume(running)
        assert await answer(rig, running, "boot") == boot_id
    assert await answer(rig, running, "read", "one") == "one"


async def test_hibernating_and_resuming_twice_is_doing_it_once(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    await rig.driver.hibernate(running)
    await rig.driver.hibernate(running)
    await rig.driver.resume(running)
    await rig.driver.resume(running)
    assert await answer(rig, running, "boot") == boot_id


async def test_a_rest_becomes_durable_by_itself(rig: Rig, running: str) -> None:
    await rig.driver.hibernate(running)
    await rig.settled(running)
    assert (await found(rig, running)).durable


async def test_a_resting_machine_is_not_booted(rig: Rig, running: str) -> None:
    await rig.driver.hibernate(running)
    with pytest.raises(MachineError, match="rests"):
        await rig.driver.boot(running)
    assert (await found(rig, running)).found is Found.RESTING


async def test_there_is_nothing_to_hibernate_without_a_process(rig: Rig) -> None:
    machine_id = rig.new_id()
    with pytest.raises(MachineLost):
        await rig.driver.hibernate(machine_id)
    await rig.driver.create(machine_id, rig.spec)
    with pytest.raises(MachineLost):
        await rig.driver.hibernate(machine_id)


async def test_there_is_nothing_to_resume_without_a_rest(rig: Rig) -> None:
    machine_id = rig.new_id()
    with pytest.raises(RestRefused):
        await rig.driver.resume(machine_id)
    await rig.driver.create(machine_id, rig.spec)
    with pytest.raises(RestRefused):
        await rig.driver.resume(machine_id)


async def test_a_rest_is_used_up_by_resuming(rig: Rig, running: str) -> None:
    await rig.driver.hibernate(running)
    await rig.driver.resume(running)
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    await rig.kill(running)
    await ending
    assert (await found(rig, running)).found is Found.STOPPED
    with pytest.raises(RestRefused):
        await rig.driver.resume(running)


@pytest.mark.parametrize("how", SPOILS)
async def test_a_spoilt_rest_is_refused_and_nothing_is_started(
    rig: Rig, running: str, how: str
) -> None:
    await rig.driver.hibernate(running)
    await rig.settled(running)
    rig.spoil(running, how)
    sight = await found(rig, running)
    assert sight.found is Found.STOPPED
    assert sight.broken
    with pytest.raises(RestRefused):
        await rig.driver.resume(running)
    assert (await found(rig, running)).pid is None


async def test_a_full_disk_leaves_the_machine_running(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    before = int(await answer(rig, running, "count"))
    with rig.full_disk(running), pytest.raises(HostFull):
        await rig.driver.hibernate(running)
    sight = await found(rig, running)
    assert (sight.found, sight.broken) == (Found.RUNNING, None)
    await counted(rig, running, lambda count: count > before)
    await rig.driver.hibernate(running)
    await rig.driver.resume(running)
    assert await answer(rig, running, "boot") == boot_id


# -- templates and clones


@pytest.fixture
async def template(rig: Rig, running: str) -> str:
    """One whose guest has counted, and has a note on its disk."""
    await answer(rig, running, "write", "note", "template")
    await answer(rig, running, "boot")  # the kernel makes its id when it is first asked for
    await counted(rig, running, lambda count: count > 5)
    template_id = rig.new_template_id()
    await rig.driver.freeze(running, template_id)
    return template_id


async def cloned(rig: Rig, template_id: str) -> str:
    """A clone that runs."""
    machine_id = rig.new_id()
    await rig.driver.clone(template_id, machine_id)
    await rig.driver.resume(machine_id)
    return machine_id


async def listed(rig: Rig) -> dict[str, str | None]:
    """Templates, and what is wrong with them."""
    return {sight.template_id: sight.broken for sight in await rig.driver.templates()}


async def test_a_frozen_machine_is_a_template_and_no_machine(
    rig: Rig, running: str, template: str
) -> None:
    assert await listed(rig) == {template: None}
    assert (await found(rig, running)).found is Found.ABSENT
    assert rig.leftovers(running) == []


async def test_freezing_twice_is_freezing_once(rig: Rig, running: str, template: str) -> None:
    await rig.driver.freeze(running, template)
    assert await listed(rig) == {template: None}


async def test_a_clone_goes_on_where_the_template_stopped(rig: Rig, template: str) -> None:
    machine_id = rig.new_id()
    await rig.driver.clone(template, machine_id)
    await rig.driver.clone(template, machine_id)
    sight = await found(rig, machine_id)
    assert (sight.found, sight.pid, sight.broken) == (Found.RESTING, None, None)
    await rig.driver.resume(machine_id)
    assert int(await answer(rig, machine_id, "count")) > 5
    assert await answer(rig, machine_id, "read", "note") == "template"


async def test_clones_share_a_beginning_and_nothing_after_it(rig: Rig, template: str) -> None:
    one, two = await cloned(rig, template), await cloned(rig, template)
    assert await answer(rig, one, "boot") == await answer(rig, two, "boot")
    await answer(rig, one, "write", "note", "one")
    assert await answer(rig, two, "read", "note") == "template"
    await rig.kill(one)
    await rig.driver.wait_ended(one)
    assert await answer(rig, two, "read", "note") == "template"
    third = await cloned(rig, template)
    assert await answer(rig, third, "read", "note") == "template"


async def test_a_clone_rests_and_wakes_by_itself(rig: Rig, template: str) -> None:
    clone = await cloned(rig, template)
    boot_id = await answer(rig, clone, "boot")
    for note in ("first", "second"):
        await answer(rig, clone, "write", "note", note)
        await rig.driver.hibernate(clone)
        await rig.driver.resume(clone)
        assert await answer(rig, clone, "read", "note") == note
    assert await answer(rig, clone, "boot") == boot_id


async def test_a_template_may_go_while_its_clones_live(rig: Rig, template: str) -> None:
    runs, rests = await cloned(rig, template), rig.new_id()
    await rig.driver.clone(template, rests)
    await rig.driver.drop(template)
    await rig.driver.drop(template)
    assert await listed(rig) == {}
    await answer(rig, runs, "write", "note", "alone")
    await rig.driver.hibernate(runs)
    await rig.driver.resume(runs)
    assert await answer(rig, runs, "read", "note") == "alone"
    await rig.driver.resume(rests)
    assert await answer(rig, rests, "read", "note") == "template"


async def test_what_is_no_template_is_not_cloned(rig: Rig) -> None:
    machine_id = rig.new_id()
    with pytest.raises(RestRefused, match="its template can't be used"):
        await rig.driver.clone("none", machine_id)
    assert (await found(rig, machine_id)).found is Found.ABSENT


@pytest.mark.parametrize("how", ["short", "altered", "no manifest", "spec altered"])
async def test_a_spoilt_template_is_refused(rig: Rig, template: str, how: str) -> None:
    rig.spoil_template(template, how)
    why = (await listed(rig))[template]
    machine_id = rig.new_id()
    with pytest.raises(RestRefused) as refused:
        await rig.driver.clone(template, machine_id)
    assert why
    assert str(refused.value) == f"its template can't be used: {why}"
    assert template not in why, "whose it is stands beside it; its id says nothing to anybody"
    assert (await found(rig, machine_id)).found is Found.ABSENT
    assert rig.leftovers(machine_id) == []


async def test_scrubbing_finds_a_template_that_was_altered(rig: Rig, template: str) -> None:
    assert await rig.driver.scrub_next() is None
    rig.spoil_template(template, "altered")
    assert await rig.driver.scrub_next()
    assert (await listed(rig))[template]


async def test_templates_and_clones_outlive_our_process(rig: Rig, template: str) -> None:
    rests = rig.new_id()
    await rig.driver.clone(template, rests)
    await rig.reopen()
    assert await listed(rig) == {template: None}
    for machine_id in (rests, rig.new_id()):
        await rig.driver.clone(template, machine_id)
        await rig.driver.resume(machine_id)
        assert await answer(rig, machine_id, "read", "note") == "template"


async def test_a_hypervisor_that_is_away_for_a_while_speaks_against_no_rest_and_no_template(
    rig: Rig, template: str
) -> None:
    runs, rests = await started(rig), rig.new_id()
    await rig.driver.clone(template, rests)
    with rig.lacking():
        sights = {sight.machine_id: sight for sight in await rig.driver.find()}
        assert sights[runs].found is Found.RUNNING
        assert sights[rests].found is Found.UNSEEN
        assert "install" in (sights[rests].broken or "")
        assert await listed(rig) == {template: None}
        for refused in (rig.driver.look(rests), rig.driver.resume(rests)):
            with pytest.raises(HostUnfit, match="install"):
                await refused
    assert (await found(rig, rests)).found is Found.RESTING
    await rig.driver.resume(rests)
    assert await answer(rig, rests, "read", "note") == "template"


# -- ends


async def test_a_killed_process_is_noticed_and_its_machine_is_stopped(
    rig: Rig, running: str
) -> None:
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    with await opened(rig, running):
        await rig.kill(running)
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert "SIGKILL" in await ending
    sight = await found(rig, running)
    assert (sight.found, sight.pid) == (Found.STOPPED, None)
    with pytest.raises(MachineLost):
        await rig.driver.open_channel(running)


async def test_a_stopped_process_hangs_whatever_is_asked_and_goes_on_when_it_may(
    rig: Rig, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot_id = await answer(rig, running, "boot")
    with monkeypatch.context() as patch:
        # What waits for it is shortened; what it does afterwards is not.
        patch.setattr(running_process, "STOPPED_POLL_SECONDS", 0.02)
        patch.setattr(running_process, "STOPPED_SECONDS_MAX", 0.1)
        await rig.stop(running)
        for ask in (rig.driver.pause, rig.driver.unpause, rig.driver.hibernate):
            async with asyncio.timeout(BUSY_SECONDS_MAX):
                with pytest.raises(MachineHung, match="does not answer"):
                    await ask(running)
        assert (await rig.driver.look(running)).found is Found.RUNNING
        await rig.go_on(running)
    await rig.driver.unpause(running)
    assert await answer(rig, running, "boot") == boot_id
    await rig.stop(running)
    await rig.driver.destroy(running)
    assert rig.leftovers(running) == []


async def test_the_disk_of_a_killed_machine_boots_again(rig: Rig, running: str) -> None:
    await answer(rig, running, "write", "note", "kept")
    boot_id = await answer(rig, running, "boot")
    await rig.kill(running)
    await rig.driver.wait_ended(running)
    await rig.driver.boot(running)
    assert await answer(rig, running, "boot") != boot_id
    assert await answer(rig, running, "read", "note") == "kept"


async def test_hibernation_ends_the_process(rig: Rig, running: str) -> None:
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    await asyncio.sleep(0)
    await rig.driver.hibernate(running)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert "hibernated" in await ending


@pytest.mark.parametrize("state", ["absent", "stopped", "running", "paused", "resting"])
async def test_destroying_leaves_nothing_in_any_state(
    rig: Rig, state: str, request: pytest.FixtureRequest
) -> None:
    machine_id = rig.new_id()
    if state != "absent":
        await rig.driver.create(machine_id, rig.spec)
    if state in ("running", "paused", "resting"):
        await rig.driver.boot(machine_id)
    if state == "paused":
        await rig.driver.pause(machine_id)
    if state == "resting":
        await rig.driver.hibernate(machine_id)
    await rig.driver.destroy(machine_id)
    await rig.driver.destroy(machine_id)
    assert (await found(rig, machine_id)).found is Found.ABSENT
    assert rig.leftovers(machine_id) == []


async def test_a_destroyed_machine_can_be_created_afresh(rig: Rig, running: str) -> None:
    await answer(rig, running, "write", "note", "old")
    await rig.driver.destroy(running)
    await rig.driver.create(running, rig.spec)
    await rig.driver.boot(running)
    assert await answer(rig, running, "read", "note") == ""


# -- restarts of ours


async def test_a_new_driver_finds_and_adopts_what_runs(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    pid = (await found(rig, running)).pid
    await rig.reopen()
    sight = await found(rig, running)
    assert (sight.found, sight.pid) == (Found.RUNNING, pid)
    assert await answer(rig, running, "boot") == boot_id
    await rig.driver.hibernate(running)
    await rig.driver.resume(running)
    assert await answer(rig, running, "boot") == boot_id


async def test_a_new_driver_notices_the_end_of_an_adopted_machine(rig: Rig, running: str) -> None:
    await rig.reopen()
    ending = asyncio.ensure_future(rig.driver.wait_ended(running))
    await rig.kill(running)
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        assert await ending


async def test_a_new_driver_resumes_what_rested(rig: Rig, running: str) -> None:
    boot_id = await answer(rig, running, "boot")
    await rig.driver.hibernate(running)
    await rig.reopen()
    assert (await found(rig, running)).found is Found.RESTING
    await rig.driver.resume(running)
    assert await answer(rig, running, "boot") == boot_id


async def test_closing_waits_for_no_machine_and_ends_none(rig: Rig, running: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        await rig.reopen()
    assert await answer(rig, running, "echo", "alive") == "alive"


async def test_a_driver_says_what_runs_the_instructions(rig: Rig) -> None:
    assert rig.driver.name
    assert rig.driver.accelerator


async def test_scrubbing_finds_a_rest_that_was_altered(rig: Rig, running: str) -> None:
    assert await rig.driver.scrub_next() is None
    await rig.driver.hibernate(running)
    await rig.settled(running)
    assert await rig.driver.scrub_next() is None
    rig.spoil(running, "altered")
    assert "altered" in (await rig.driver.scrub_next() or "")
    with pytest.raises(RestRefused):
        await rig.driver.resume(running)
