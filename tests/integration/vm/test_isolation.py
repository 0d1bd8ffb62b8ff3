"""What the process of a machine can reach of its host, and what its guest can reach at all."""

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.contracts.rigs import LocalRig, answer, local_rig, real_cloud_hypervisor, started
from tests.integration.vm.conftest import Vm
from tests.support.isolated import isolated
from vmpool.driver import Found, Image, MachineSpec
from vmpool.drivers import landlock
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.process import ended
from vmpool.drivers.qemu import Qemu
from vmpool.errors import HostUnfit
from vmpool.network import slot
from vmpool.network.namespace import inside
from vmpool.network.slots import NAMESPACES, missing, namespace
from vmpool.ssh import Authority

SECONDS = 120
HYPERVISORS = [
    pytest.param(lambda: Qemu(accelerator="tcg"), marks=pytest.mark.vm, id="qemu"),
    pytest.param(real_cloud_hypervisor, marks=pytest.mark.nested, id="cloud-hypervisor"),
]
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing()), reason=f"!!! NOT TESTED: {missing()}"),
]


@pytest.fixture(params=HYPERVISORS)
def hypervisor(request: pytest.FixtureRequest) -> Hypervisor:
    made: Hypervisor = request.param()
    return made


@pytest.fixture
async def rig(tmp_path: Path, hypervisor: Hypervisor) -> AsyncIterator[LocalRig]:
    async with local_rig(tmp_path, hypervisor) as rig:
        assert hypervisor.network
        yield rig


def tasks(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").iterdir())


def status(pid: int, *, of: int | None = None) -> dict[str, str]:
    """What the kernel says of a process, or of a thread of one."""
    lines = Path(f"/proc/{of or pid}/task/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def pid_of(rig: LocalRig, machine_id: str) -> int:
    pid = (await rig.driver.look(machine_id)).pid
    assert pid is not None
    return pid


def slots_of(rig: LocalRig) -> set[str]:
    slots = rig.local._launcher._isolation._slots
    assert slots is not None
    return set(slots._found()) & {slot.slot_name(slots._owner, n) for n in range(slot.SLOTS_MAX)}


# -- the process


async def test_a_process_has_a_uid_no_rights_and_a_network_of_its_own(rig: LocalRig) -> None:
    one, two = [await pid_of(rig, await started(rig)) for _ in range(2)]
    uids = {status(pid)["Uid"].split()[1] for pid in (one, two)}
    assert len(uids) == 2
    assert all(int(uid) >= slot.UID_FIRST for uid in uids)
    for pid in (one, two):
        said = status(pid)
        assert (said["CapEff"], said["CapBnd"]) == ("0" * 16, "0" * 16)
        assert (said["NoNewPrivs"], said["Groups"]) == ("1", "")
        # Of Cloud Hypervisor all threads that serve the guest, but not the first one.
        threads = {status(int(each.name), of=pid)["Seccomp"] for each in tasks(pid)}
        assert "2" in threads
    networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in (one, two, os.getpid())}
    assert len(networks) == 3


async def test_another_machines_files_and_ours_are_not_a_processs_to_open(rig: LocalRig) -> None:
    one, two = await started(rig), await started(rig)
    owner = Path(f"/proc/{await pid_of(rig, one)}").stat()
    who = ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    other = rig.root / two
    for path in (rig.root / one, other, other / "cell" / "own", other / "cell" / "disk"):
        # Through a descriptor, as it comes past the directories above.
        fd = os.open(path, os.O_PATH)
        read = ["ls", f"/proc/self/fd/{fd}/"] if path.is_dir() else ["cat", f"/proc/self/fd/{fd}"]
        try:
            tried = subprocess.run([*who, *read], pass_fds=[fd], capture_output=True, check=False)
        finally:
            os.close(fd)
        assert tried.returncode, path
        assert b"Permission denied" in tried.stderr


async def test_a_seat_goes_with_its_process(rig: LocalRig) -> None:
    before = slots_of(rig)
    machine_id = await started(rig)
    assert len(slots_of(rig)) > len(before)
    await rig.driver.hibernate(machine_id)
    await rig.driver.resume(machine_id)
    assert await answer(rig, machine_id, "echo", "on") == "on"
    await rig.driver.destroy(machine_id)
    await rig.driver.close()
    assert slots_of(rig) == set()
    await rig.reopen()


async def test_a_successor_takes_seats_over_and_removes_idle_ones(rig: LocalRig) -> None:
    machine_id = await started(rig)
    slots = rig.local._launcher._isolation._slots
    assert slots is not None
    await slots.prepare(3)
    await rig.local._settler.close()
    for running in rig.local._running.values():
        await running.let_go()
    rig.driver = rig.local = rig._new_driver()  # the one of before ended without a word
    assert [sight.found for sight in await rig.driver.find()] == [Found.RUNNING]
    assert len(slots_of(rig)) == 1
    assert await answer(rig, machine_id, "echo", "on") == "on"


async def test_a_slot_without_its_device_is_not_used(rig: LocalRig) -> None:
    isolation = rig.local._launcher._isolation
    assert isolation._slots is not None
    await isolation.open({})
    await isolation._slots.prepare(1)
    [name] = isolation._slots._ready
    command = ["ip", "-n", name, "link", "delete", slot.TAP]
    subprocess.run(command, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    seat = await isolation.seat("a launch")
    assert seat.slot is not None
    found = subprocess.run(["ip", "-n", seat.slot, "link", "show", slot.TAP], check=False)
    assert found.returncode == 0
    await isolation.leave("a launch")


async def test_a_host_whose_slots_lose_their_devices_is_said_to(
    rig: LocalRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: str) -> int:
        raise OSError("no such device")

    monkeypatch.setattr("vmpool.drivers.isolation.socket.if_nametoindex", lost)
    isolation = rig.local._launcher._isolation
    await isolation.open({})
    with pytest.raises(HostUnfit, match="loses its device"):
        await isolation.seat("a launch")
    monkeypatch.undo()
    assert slots_of(rig) == set()


async def test_without_root_a_machine_has_no_device_and_all_else_works(
    tmp_path: Path, hypervisor: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmpool.drivers.isolation.missing", lambda: "we are not root")
    async with local_rig(tmp_path, hypervisor) as rig:
        assert not hypervisor.network
        machine_id = await started(rig)
        pid = await pid_of(rig, machine_id)
        assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
        if landlock.version():
            assert status(pid)["NoNewPrivs"] == "1"
        count = int(await answer(rig, machine_id, "count"))
        await rig.driver.hibernate(machine_id)
        await rig.driver.resume(machine_id)
        assert int(await answer(rig, machine_id, "count")) >= count


# -- Landlock


@pytest.mark.vm
@pytest.mark.skipif(not landlock.version(), reason="!!! NOT TESTED: the kernel has no Landlock")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat /etc/passwd", "Permission denied"),
        ("ls /tmp", "Permission denied"),
        ("cat /proc/self/fd/3/inside", "within reach"),
        ("echo more >> /proc/self/fd/3/inside && cat /proc/self/fd/3/inside", "more"),
        ("echo new > /proc/self/fd/3/made", "ermission denied"),
        ("echo new > /proc/self/fd/3/own/made", "ermission denied"),
        ("mkdir /proc/self/fd/3/own/made", "Permission denied"),
        ("echo > /usr/made", "ermission denied"),
        ("/proc/self/fd/3/program", "Permission denied"),
    ],
)
async def test_a_process_opens_what_it_needs_and_nothing_else(
    tmp_path: Path, script: str, said: str
) -> None:
    cell, log = tmp_path / "cell", tmp_path / "log"
    (cell / "own").mkdir(parents=True)
    (cell / "inside").write_text("within reach")
    (cell / "program").write_text("#!/bin/sh\necho ran\n")
    (cell / "program").chmod(0o755)
    isolation = Isolation(has_landlock=True)
    fd = os.open(cell, os.O_PATH)
    try:
        process = isolation.start(
            ["sh", "-c", script],
            await isolation.seat("launch"),
            rights={cell: landlock.WRITE, cell / "own": landlock.MAKE_SOCKETS},
            mark=f"/{secrets.token_hex(8)}/launch",
            output=log,
            errors=log,
            fds=[fd],
        )
    finally:
        os.close(fd)
    await ended(process)
    assert said in log.read_text()


# -- the guest


@pytest.fixture
async def networked(
    tmp_path: Path, hypervisor: Hypervisor, guest_image: Image
) -> AsyncIterator[Vm]:
    """A machine of the product's image."""
    driver = LocalDriver(tmp_path, hypervisor, isolation=isolated(tmp_path, hypervisor))
    spec = MachineSpec(image=guest_image, vcpus=1, memory_mib=512, disk_gib=8)
    machine = Vm(driver, spec, await Authority.load(tmp_path / "ca"))
    try:
        await machine.boot()
        yield machine
    finally:
        await machine.close()
        await driver.close()


@contextlib.contextmanager
def gateway(vm: Vm) -> Iterator[socket.socket]:
    """Somebody who listens in the machine's slot, as the gateway will."""
    driver = vm.driver
    assert isinstance(driver, LocalDriver)
    launch = driver._home(vm.machine_id).read_launch()
    assert launch is not None
    assert launch.slot is not None
    assert (NAMESPACES / launch.slot).exists()

    def listen() -> socket.socket:
        return socket.create_server((slot.HOST_ADDRESS, 80))

    with inside(namespace(launch.slot), listen) as sock:
        yield sock


CONNECTS = """
import socket, sys
for place in sys.argv[1:]:
    host, _, port = place.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=20):
            print(place, "accepted")
    except OSError as error:
        print(place, type(error).__name__)
"""


async def connects(vm: Vm, *places: str) -> list[str]:
    command = ["python3", "-c", CONNECTS, *places]
    done = await (await vm.channel()).run(command, timeout_seconds=SECONDS)
    return [line.split()[1] for line in done.stdout.decode().splitlines()]


async def test_a_guest_reaches_the_gateway_alone_in_whatever_slot_it_wakes(networked: Vm) -> None:
    elsewhere = ["172.16.0.1:22", "169.254.169.254:80", "192.0.2.1:443", "10.0.2.2:22"]
    await networked.channel()
    with gateway(networked):
        assert await connects(networked, "172.16.0.1:80") == ["accepted"]
        assert await connects(networked, *elsewhere) == ["ConnectionRefusedError"] * 4
    await networked.rest()
    assert isinstance(networked.driver, LocalDriver)
    isolation = networked.driver._launcher._isolation
    before = await isolation.seat("somebody else who takes the slot it had")
    await networked.wake()
    with gateway(networked):
        assert await connects(networked, "172.16.0.1:80") == ["accepted"]
        assert await connects(networked, *elsewhere) == ["ConnectionRefusedError"] * 4
    launch = networked.driver._home(networked.machine_id).read_launch()
    assert launch is not None
    assert launch.slot != before.slot


async def test_a_guest_asks_the_gateway_for_names(networked: Vm) -> None:
    channel = await networked.channel()
    done = await channel.run(["cat", "/etc/resolv.conf"], timeout_seconds=SECONDS)
    assert done.stdout.decode().split()[:2] == ["nameserver", slot.HOST_ADDRESS]
    done = await channel.run(["ip", "-br", "address"], timeout_seconds=SECONDS)
    devices = {line.split()[0]: line.split()[2:] for line in done.stdout.decode().splitlines()}
    assert devices["eth0"][0] == "172.16.0.2/30"
    assert set(devices) == {"lo", "eth0"}
