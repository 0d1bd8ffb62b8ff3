"""Machines made of a template: what they share with it, and what must be their own."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contracts.rigs import real_cloud_hypervisor
from tests.integration.vm.conftest import Vm
from tests.support.isolated import isolated
from vmpool.driver import Image, MachineSpec
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.ssh import Authority

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

SECONDS = 60
TEMPLATE = "t1"
DRAWS_MIN = 50
DRAWING = """
import os, socket, time
with open("/dev/shm/draws", "w", buffering=1) as file:
    for _ in range(100_000):
        print(socket.gethostname(), os.getrandom(16).hex(), file=file)
        time.sleep(0.005)
"""
"""Draws from before the snapshot on; the name tells whether the clone is its own yet."""
COUNTER = "n=0; while :; do n=$((n+1)); echo $n > /tmp/count; sleep 0.1; done"


async def said(vm: Vm, command: str) -> str:
    done = await (await vm.channel()).run(["sh", "-c", command], timeout_seconds=SECONDS)
    return done.stdout.decode().strip()


HYPERVISORS = {"qemu": lambda: Qemu(accelerator="tcg"), "cloud-hypervisor": real_cloud_hypervisor}


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[
        pytest.param("qemu", marks=pytest.mark.vm),
        pytest.param("cloud-hypervisor", marks=pytest.mark.nested),
    ],
)
async def clones(
    request: pytest.FixtureRequest, guest_image: Image, vm_directory: Path
) -> AsyncIterator[list[Vm]]:
    """Two of one template, woken at once: as close to each other as they come."""
    hypervisor = HYPERVISORS[request.param]()
    driver = LocalDriver(vm_directory, hypervisor, isolation=isolated(vm_directory, hypervisor))
    spec = MachineSpec(image=guest_image, vcpus=1, memory_mib=512, disk_gib=8)
    authority = await Authority.load(vm_directory / "ca")
    builder = Vm(driver, spec, authority)
    builder.token = 0  # lower than any lease's
    made = [Vm(driver, spec, authority) for _ in range(2)]
    try:
        await builder.boot()
        await said(builder, "echo ready > note; cat /etc/machine-id > identity")
        await said(builder, f"setsid sh -c '{COUNTER}' > /dev/null 2>&1 < /dev/null &")
        await said(builder, "until [ -s /tmp/count ]; do sleep 0.1; done")
        await said(builder, f"setsid python3 -c '{DRAWING}' > /dev/null 2>&1 < /dev/null &")
        await said(builder, "until [ -s /dev/shm/draws ]; do sleep 0.1; done")
        await (await builder.channel()).freeze()
        await driver.freeze(builder.machine_id, TEMPLATE)
        for each in made:
            each.generation = builder.generation
            await driver.clone(TEMPLATE, each.machine_id)
        await asyncio.gather(*(each.wake() for each in made))
        yield made
    finally:
        for each in [builder, *made]:
            await each.close()
        await driver.drop(TEMPLATE)
        await driver.close()


async def test_clones_have_what_the_template_had(clones: list[Vm]) -> None:
    for each in clones:
        assert await said(each, "cat note") == "ready"


async def test_what_ran_in_the_template_runs_in_every_clone(clones: list[Vm]) -> None:
    for each in clones:
        before = int(await said(each, "cat /tmp/count"))
        await said(each, f"until [ $(cat /tmp/count) -gt {before} ]; do sleep 0.1; done")


async def draws(vm: Vm) -> tuple[set[str], set[str]]:
    """What a clone drew before it was its own, template's draws included, and since."""
    name = await said(vm, "hostname")
    enough = f"until [ $(grep -c ^{name} /dev/shm/draws) -gt {DRAWS_MIN} ]; do sleep 0.1; done"
    await said(vm, enough)
    lines = [line.split() for line in (await said(vm, "cat /dev/shm/draws")).splitlines()]
    pairs = [pair for pair in lines if len(pair) == 2]
    return {drawn for who, drawn in pairs if who != name}, {
        drawn for who, drawn in pairs if who == name
    }


async def test_clones_draw_different_random_numbers_once_they_are_their_own(
    clones: list[Vm],
) -> None:
    (before, one), (also_before, two) = [await draws(each) for each in clones]
    print(f"drawn alike before they were their own: {len(before & also_before)}")
    assert min(len(one), len(two)) >= DRAWS_MIN
    assert one.isdisjoint(two | also_before)
    assert two.isdisjoint(before)


async def test_clones_are_machines_of_their_own(clones: list[Vm]) -> None:
    identities = [await said(each, "cat /etc/machine-id; hostname") for each in clones]
    built = await said(clones[0], "cat identity")
    assert re.fullmatch(r"[0-9a-f]{32}", built)
    assert len({built, *(words.split()[0] for words in identities)}) == 3
    assert len({words.split()[1] for words in identities}) == 2


async def test_what_one_clone_writes_the_other_never_sees(clones: list[Vm]) -> None:
    await said(clones[0], "echo mine > note; sync")
    assert await said(clones[1], "cat note") == "ready"


async def test_the_clock_of_a_clone_is_right(clones: list[Vm]) -> None:
    for each in clones:
        assert abs(int(await said(each, "date +%s")) - time.time()) < SECONDS
