"""What the driver contract needs beside a driver: ways to hurt the host it runs on."""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.fakes.caches import cache_dir
from tests.fakes.driver import FakeDriver, FakeHost
from tests.fakes.tiny_guest import ask, tiny_spec
from tests.support.isolated import isolated
from tests.support.xfs import xfs
from vmpool.driver import Driver, Image, MachineSpec
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.local import DriverLimits, LocalDriver
from vmpool.drivers.process import kill, marked
from vmpool.errors import MachineBusy

SPOILS = ("short", "altered", "no manifest", "spec altered")

LONG_NAME = "a-directory-with-a-long-name" * 4
OWNER = "owner.pid"
ANSWER_SECONDS_MAX = 60
FAKED_MEMORY_MIB = 8


class Rig(Protocol):
    """One host with the driver that is tested on it."""

    driver: Driver
    spec: MachineSpec

    async def reopen(self) -> None:
        """Close the driver and make a new one on the same host, as a restart of ours does."""
        ...

    def new_id(self) -> str:
        """A machine id that is removed at the end of the test."""
        ...

    async def kill(self, machine_id: str) -> None:
        """End a machine's process from outside."""
        ...

    async def stop(self, machine_id: str) -> None:
        """Stop a machine's process from outside, as `kill -STOP` does."""
        ...

    async def go_on(self, machine_id: str) -> None:
        """Let it go on."""
        ...

    def full_disk(self, machine_id: str) -> AbstractContextManager[None]:
        """Let the disk be full while a memory is written."""
        ...

    def lacking(self) -> AbstractContextManager[None]:
        """Let the hypervisor be away, as while it is upgraded."""
        ...

    def spoil(self, machine_id: str, how: str) -> None:
        """Damage a rest in one of the ways of SPOILS."""
        ...

    def new_template_id(self) -> str:
        """A template id that is dropped at the end of the test."""
        ...

    def spoil_template(self, template_id: str, how: str) -> None:
        """Damage a template in one of the ways of SPOILS."""
        ...

    async def settled(self, machine_id: str) -> None:
        """Wait until the rest had time to become durable."""
        ...

    def leftovers(self, machine_id: str) -> list[str]:
        """What is left of a destroyed machine: files and processes."""
        ...


class FakeRig:
    """The fake host."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.driver: Driver = FakeDriver(self.host)
        image = Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest="x")
        self.spec = MachineSpec(image=image, vcpus=1, memory_mib=128, disk_gib=1)

    async def reopen(self) -> None:
        await self.driver.close()
        self.driver = FakeDriver(self.host)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    async def kill(self, machine_id: str) -> None:
        self.host.kill(machine_id)

    async def stop(self, machine_id: str) -> None:
        self.host.stop(machine_id)

    async def go_on(self, machine_id: str) -> None:
        self.host.go_on(machine_id)

    @contextmanager
    def full_disk(self, machine_id: str) -> Iterator[None]:
        self.host.full = True
        yield
        self.host.full = False

    @contextmanager
    def lacking(self) -> Iterator[None]:
        self.host.lacking = True
        yield
        self.host.lacking = False

    def spoil(self, machine_id: str, how: str) -> None:
        self.host.machines[machine_id].broken = f"its rest is spoilt: {how}"

    def new_template_id(self) -> str:
        return str(uuid.uuid4())

    def spoil_template(self, template_id: str, how: str) -> None:
        self.host.templates[template_id].broken = f"its rest is spoilt: {how}"

    async def settled(self, machine_id: str) -> None:
        await self.driver.find()

    def leftovers(self, machine_id: str) -> list[str]:
        return [machine_id] if machine_id in self.host.machines else []


class LocalRig:
    """Machines of a hypervisor that is installed here, in a directory with a very long name."""

    def __init__(
        self,
        root: Path,
        hypervisor: Hypervisor,
        spec: MachineSpec,
        *,
        is_isolated: bool,
        ahead_max: int,
    ) -> None:
        # Longer than the path of a unix socket may be.
        self.root = root / LONG_NAME
        self.root.mkdir()
        (self.root / OWNER).write_text(str(os.getpid()))
        self.spec = spec
        self.hypervisor = hypervisor
        self.is_isolated = is_isolated
        self.ahead_max = ahead_max
        self.local = self._new_driver()
        self.driver: Driver = self.local
        self._ids: list[str] = []
        self._template_ids: list[str] = []

    async def reopen(self) -> None:
        await self.local.close()
        self.driver = self.local = self._new_driver()

    def new_id(self) -> str:
        self._ids.append(str(uuid.uuid4()))
        return self._ids[-1]

    async def kill(self, machine_id: str) -> None:
        await self._signal(machine_id, signal.SIGKILL)

    async def stop(self, machine_id: str) -> None:
        await self._signal(machine_id, signal.SIGSTOP)

    async def go_on(self, machine_id: str) -> None:
        await self._signal(machine_id, signal.SIGCONT)

    async def _signal(self, machine_id: str, number: signal.Signals) -> None:
        pid = (await self.driver.look(machine_id)).pid
        assert pid is not None
        os.kill(pid, number)

    @contextmanager
    def full_disk(self, machine_id: str) -> Iterator[None]:
        # The kernel refuses the hypervisor's writes in the middle of what it writes; a file
        # system that is really full needs root, see test_qemu_full_disk.
        pid = self._pid(machine_id)
        limit_file_size(pid, "512")
        yield
        limit_file_size(pid, "unlimited")

    @contextmanager
    def lacking(self) -> Iterator[None]:
        installed: Any = self.hypervisor
        binary, installed._binary = installed._binary, "/nonexistent/hypervisor"
        yield
        installed._binary = binary

    def new_template_id(self) -> str:
        self._template_ids.append(str(uuid.uuid4()))
        return self._template_ids[-1]

    def spoil_template(self, template_id: str, how: str) -> None:
        self.spoil(f"template.{template_id}", how)

    def spoil(self, machine_id: str, how: str) -> None:
        rest = self.root / machine_id / "rest"
        memory = rest / "memory"
        memory.chmod(0o600)
        match how:
            case "short":
                os.truncate(memory, memory.stat().st_size - 1)
            case "altered":
                with memory.open("r+b") as file:
                    file.write(b"not what was there")
            case "no manifest":
                (rest / "rest.json").unlink()
            case "spec altered":
                spec = self.root / machine_id / "spec.json"
                spec.write_text(spec.read_text() + " ")

    async def settled(self, machine_id: str) -> None:
        await self.local.settled(machine_id)

    def leftovers(self, machine_id: str) -> list[str]:
        files = [str(path) for path in self.root.glob(f"*{machine_id}*")]
        records = [path for path in self.root.glob("*/process.json")]
        others = {
            json.loads(path.read_text())["token"]
            for path in records
            if path.parent.name != machine_id
        }
        processes = [mark for _, mark in marked(f"{self.root}/")]
        return files + [mark for mark in processes if Path(mark).name not in others]

    async def close(self) -> None:
        for machine_id in self._ids:
            await self.driver.destroy(machine_id)
        for template_id in self._template_ids:
            await self.driver.drop(template_id)
        await self.driver.close()

    def _pid(self, machine_id: str) -> int:
        record = json.loads((self.root / machine_id / "process.json").read_text())
        return int(record["process"]["pid"])

    def ignore_free_space(self) -> None:
        """Let the disk say itself that it is full."""
        self.local._demand_room = lambda mib: None  # type: ignore[method-assign]

    def _new_driver(self) -> LocalDriver:
        limits = DriverLimits(disk_reserve_mib=1, look_seconds=0.2, ahead_max=self.ahead_max)
        isolation = isolated(self.root, self.hypervisor) if self.is_isolated else None
        return LocalDriver(self.root, self.hypervisor, limits, isolation=isolation)


def limit_file_size(pid: int, limit_bytes: str) -> None:
    """Change the soft limit of a process, as who it runs as: root alone may lack the right."""
    owner = Path(f"/proc/{pid}").stat()
    who = [f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups", "--"]
    limit = ["prlimit", f"--pid={pid}", f"--fsize={limit_bytes}:"]
    subprocess.run([*(["setpriv", *who] if os.geteuid() == 0 else []), *limit], check=True)


def fake_cloud_hypervisor(root: Path) -> CloudHypervisor:
    """The real driver on a program that answers as a real one does."""
    program = root / "cloud-hypervisor"
    start = f"exec {shlex.quote(sys.executable)} -S -m tests.fakes.cloud_hypervisor"
    project = shlex.quote(str(Path(__file__).parents[2]))
    program.write_text(f'#!/bin/sh\nPYTHONPATH={project} {start} "$@"\n')
    program.chmod(0o700)
    return CloudHypervisor(binary=str(program))


def real_cloud_hypervisor() -> CloudHypervisor:
    """The one that CLOUD_HYPERVISOR names; only where KVM works."""
    binary = os.environ.get("CLOUD_HYPERVISOR")
    if not binary:
        pytest.skip("!!! NOT TESTED: CLOUD_HYPERVISOR names no cloud-hypervisor binary")
    return CloudHypervisor(binary=binary)


async def started(rig: Rig) -> str:
    """A machine whose guest has answered."""
    machine_id = rig.new_id()
    await rig.driver.create(machine_id, rig.spec)
    await rig.driver.boot(machine_id)
    await answer(rig, machine_id, "echo", "up")
    return machine_id


async def opened(rig: Rig, machine_id: str) -> socket.socket:
    """A connection to a guest that may not be up yet."""
    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        while True:
            try:
                return await rig.driver.open_channel(machine_id)
            except MachineBusy:
                await asyncio.sleep(0.05)


async def answer(rig: Rig, machine_id: str, *question: str) -> str:
    """Ask the guest one thing over a connection of its own."""
    with await opened(rig, machine_id) as sock:
        return await ask(sock, *question, seconds_max=ANSWER_SECONDS_MAX)


@asynccontextmanager
async def fake_rig() -> AsyncIterator[Rig]:
    """A fake host for one test."""
    rig = FakeRig()
    try:
        yield rig
    finally:
        await rig.host.close()


@asynccontextmanager
async def local_rig(
    root: Path,
    hypervisor: Hypervisor,
    spec: MachineSpec | None = None,
    *,
    is_isolated: bool = True,
    ahead_max: int = 1,
) -> AsyncIterator[LocalRig]:
    """A directory for machines of the tiny guest, for one test; none is left afterwards.

    :param is_isolated: as far as this host can
    """
    await reap_orphans()
    spec = spec or await asyncio.to_thread(tiny_spec, cache_dir())
    rig = LocalRig(root, hypervisor, spec, is_isolated=is_isolated, ahead_max=ahead_max)
    try:
        yield rig
    finally:
        await rig.close()


@asynccontextmanager
async def faked_rig(
    root: Path, *, on_xfs: bool = False, ahead_max: int = 0
) -> AsyncIterator[LocalRig]:
    """The same with a fake hypervisor, which looks into no image and needs little memory.

    It is not isolated: nobody else could read the program.

    :param on_xfs: on a file system that makes files of other files' extents
    """
    image = Image(kernel=root / "kernel", initrd=root / "initrd", disk=root / "image", digest="d")
    for each in (image.kernel, image.initrd, image.disk):
        each.write_bytes(b"looked at by nobody")
    spec = MachineSpec(image=image, vcpus=1, memory_mib=FAKED_MEMORY_MIB, disk_gib=1)
    hypervisor = fake_cloud_hypervisor(root)
    with xfs(root) if on_xfs else nullcontext(root) as place:
        async with local_rig(
            place, hypervisor, spec, is_isolated=False, ahead_max=ahead_max
        ) as rig:
            yield rig


async def reap_orphans() -> None:
    """End the machines of test runs that were killed: their processes outlive them by design."""
    for orphan, mark in list(marked("/")):
        owner = Path(mark).parent / OWNER
        if LONG_NAME in mark and owner.exists() and not Path("/proc", owner.read_text()).exists():
            await kill(orphan)
