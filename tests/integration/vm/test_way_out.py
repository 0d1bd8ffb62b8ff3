"""A real machine's way out: what it reaches by name, in a job, before and after it slept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.integration.vm.conftest import MEMORY_MIB, Vm
from tests.support.gateway import LOOPBACK, Heard, MemoryNames, Zone, allow, serving
from tests.support.isolated import isolated
from vmpool.driver import Image, MachineSpec
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.jobs import JobOutput, JobSpec
from vmpool.network.gateway import Access, Event, Gateway, Identity
from vmpool.network.policy import Policy
from vmpool.network.slots import missing
from vmpool.ssh import Authority

SECONDS = 120
pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
slots = pytest.mark.skipif(bool(missing()), reason=f"!!! NOT TESTED: {missing()}")


@dataclass
class Site:
    """A gateway, and a machine that is served by it."""

    vm: Vm
    gateway: Gateway
    heard: Heard
    port: int
    events: list[Event]


@asynccontextmanager
async def _site(image: Image, directory: Path, *, network: bool) -> AsyncIterator[Site]:
    heard, zone, events = Heard(), Zone(), []
    async with serving(heard.server()) as port:
        lines = allow(f"pkg.test:{port}", f"{LOOPBACK}:{port}")
        zone.hosts = {"pkg.test": [LOOPBACK]}

        async def access(_who: Identity) -> Access:
            return Access(Policy(rules=lines))

        gateway = Gateway(access=access, audit=events.append, names=MemoryNames(), resolve=zone)
        qemu = Qemu(accelerator="tcg")
        apart = isolated(directory, qemu) if network else Isolation(why_not="it is not wanted")
        driver = LocalDriver(directory, qemu, isolation=apart, way_out=gateway)
        spec = MachineSpec(image=image, vcpus=2, memory_mib=MEMORY_MIB, disk_gib=8)
        vm = Vm(driver, spec, await Authority.load(directory / "ca"))
        try:
            await vm.boot()
            yield Site(vm, gateway, heard, port, events)
        finally:
            await vm.close()
            await driver.close()
            await gateway.close()


@pytest.fixture
async def site(guest_image: Image, vm_directory: Path) -> AsyncIterator[Site]:
    async with _site(guest_image, vm_directory, network=True) as made:
        yield made


@pytest.fixture
async def site_without_card(guest_image: Image, vm_directory: Path) -> AsyncIterator[Site]:
    async with _site(guest_image, vm_directory, network=False) as made:
        yield made


async def said(vm: Vm, command: str) -> str:
    done = await (await vm.channel()).run(["sh", "-c", command], timeout_seconds=SECONDS)
    return f"{done.exit_status} {done.stdout.decode().strip()}"


@slots
async def test_a_machine_reaches_what_it_may_and_hears_why_it_may_not(site: Site) -> None:
    vm, url = site.vm, f"http://pkg.test:{site.port}/x"
    assert site.gateway.attached() == (UUID(vm.machine_id),)
    assert await said(vm, f"curl -sS {url}") == "0 hello"
    assert await said(vm, f"curl -sS --noproxy '*' {url}") == "0 hello"
    refused = await said(vm, "curl -sSv https://no.test/ 2>&1")
    assert "403 no.test:443 is not allowed: no line of the policy names it" in refused
    assert "no.test:443 is not allowed" in await said(vm, "curl -sS http://gateway.ona/denied")
    direct = await said(vm, "curl -sS --max-time 10 --noproxy '*' http://169.254.169.254/ 2>&1")
    assert direct.startswith("7 ")

    output = await _output(vm, ["sh", "-c", f"env | grep -i _proxy; curl -sS {url}"])
    assert "https_proxy=http://172.16.0.1:8080" in output
    assert output.endswith("hello")

    await vm.rest()
    await _served(site, ())
    await vm.wake()
    await _served(site, (UUID(vm.machine_id),))
    assert await said(vm, f"curl -sS --noproxy '*' {url}") == "0 hello"
    await vm.kill()
    await vm.driver.destroy(vm.machine_id)
    await _served(site, ())


async def test_a_machine_without_a_card_reaches_the_same_over_its_channel(
    site_without_card: Site,
) -> None:
    site = site_without_card
    vm, machine, url = site.vm, UUID(site.vm.machine_id), f"http://pkg.test:{site.port}/x"
    assert site.gateway.attached() == ()
    await site.gateway.serve_over(machine, (await vm.channel()).listen)
    assert await said(vm, f"curl -sS {url}") == "0 hello"
    assert await said(vm, f"curl -sS --noproxy '*' {url}") == "0 hello"
    assert "no.test:443 is not allowed" in await said(vm, "curl -sSv https://no.test/ 2>&1")
    assert "no.test:443 is not allowed" in await said(vm, "curl -sS http://gateway.ona/denied")
    direct = await said(vm, "curl -sS --max-time 10 --noproxy '*' http://169.254.169.254/ 2>&1")
    assert direct.startswith("7 ")
    look = "import os; print(sorted(os.listdir('/sys/class/net')))"
    assert await said(vm, f'python3 -c "{look}"') == "0 ['lo']"

    output = await _output(vm, ["sh", "-c", f"env | grep -i _proxy; curl -sS {url}"])
    assert "https_proxy=http://172.16.0.1:8080" in output
    assert output.endswith("hello")

    await site.gateway.detach(machine)
    await vm.rest()
    await site.gateway.serve_over(machine, (await vm.wake()).listen)
    assert await said(vm, f"curl -sS --noproxy '*' {url}") == "0 hello"


async def _served(site: Site, machines: tuple[UUID, ...]) -> None:
    """What a process had of its host is given back in the background."""
    async with asyncio.timeout(SECONDS):
        while site.gateway.attached() != machines:
            await asyncio.sleep(0.05)


async def _output(vm: Vm, argv: list[str]) -> str:
    channel, seen = await vm.channel(), bytearray()
    await channel.start_job(JobSpec(id="j1", argv=argv))
    async for event in channel.attach("j1"):
        if isinstance(event, JobOutput):
            seen += event.data
    return seen.decode()
