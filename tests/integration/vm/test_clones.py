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
from vmpool.jobs import JobSpec
from vmpool.ssh import Authority

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]

SECONDS = 60
TEMPLATE = "t1"
DRAWS = 1_000
BYTES_MAX = 64 << 20
DRAWING = f"""
import os, socket, sys
template, left = socket.gethostname(), {DRAWS}
with open("/dev/shm/draws-" + sys.argv[1], "w", buffering=1) as file:
    while left:
        name = socket.gethostname()
        left -= name != template
        print(name, os.getrandom(16).hex(), file=file)
"""
"""Draws without a pause from before the snapshot on, and so often in a clone of its own. The name
that a draw has was read before it: who is called as the template was not its own by then."""
KINDS = ("job", "login")
"""As a service is started, and as set-up leaves something running."""
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
        await said(builder, f"setsid python3 -c '{DRAWING}' login > /dev/null 2>&1 < /dev/null &")
        service = JobSpec(id="service", argv=["python3", "-c", DRAWING, "job"])
        await (await builder.channel()).start_job(service)
        for kind in KINDS:
            await said(builder, f"until [ -s /dev/shm/draws-{kind} ]; do sleep 0.1; done")
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


async def draws(vm: Vm, kind: str) -> tuple[list[str], list[str]]:
    """What was drawn before a clone was its own, the template's draws, and since."""
    name = await said(vm, "hostname")
    file = f"/dev/shm/draws-{kind}"
    await said(vm, f"until [ $(grep -c ^{name} {file}) -ge {DRAWS} ]; do sleep 0.1; done")
    channel = await vm.channel()
    done = await channel.run(["cat", file], timeout_seconds=SECONDS, output_bytes_max=BYTES_MAX)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    return [drawn for who, drawn in lines if who != name], [
        drawn for who, drawn in lines if who == name
    ]


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_that_two_clones_draw_is_alike(clones: list[Vm], kind: str) -> None:
    (before, one), (also_before, two) = [await draws(each, kind) for each in clones]
    # Nothing was drawn between the resume and the new entropy: they share what the template drew.
    # The last of that may have been under way when it was frozen.
    assert len(before) == len(also_before) > 1
    assert before[:-1] == also_before[:-1]
    assert len(one) == len(two) == DRAWS
    drawn = [*before, *one, *two, also_before[-1]]
    assert len(set(drawn)) >= len(drawn) - 1
    assert set(one).isdisjoint({*before, *two})
    assert set(two).isdisjoint({*also_before, *one})


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
