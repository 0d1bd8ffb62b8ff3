"""Real machines for tests: the image built once per recipe, one machine per module.

A boot takes seconds under emulation, so the tests of a module share a machine and leave it as
they found it: running, with an open channel to be had from `vm.channel()`.
"""

import asyncio
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contracts.rigs import LocalRig, local_rig, started
from tests.fakes.caches import images_dir
from tests.support.isolated import isolated
from vmpool.channel import Channel, open_machine
from vmpool.driver import Driver, Image, MachineSpec
from vmpool.drivers.local import LocalDriver
from vmpool.drivers.qemu import Qemu
from vmpool.errors import MachineError
from vmpool.image import ensure_image, remove_unused
from vmpool.ssh import Authority

OPEN_SECONDS = 180
MEMORY_MIB = 512
AGENT_MEMORY_MIB = 1024
IMAGE_IDLE_HOURS = 6
AGENTS = tuple(os.environ.get("ONA_TEST_AGENTS", "claude-code").split(","))
"""The agents whose programs are tried in machines; `make test-long` tries all."""


class Vm:
    """A machine as its host's worker has it: driver, lease token, generation, channel."""

    def __init__(self, driver: Driver, spec: MachineSpec, authority: Authority) -> None:
        self.driver = driver
        self.spec = spec
        self.authority = authority
        self.machine_id = str(uuid.uuid4())
        self.token = 1
        self.generation = 0
        self._channel: Channel | None = None

    async def boot(self) -> None:
        await self.driver.create(self.machine_id, self.spec)
        await self.driver.boot(self.machine_id)
        self.generation += 1

    async def open(self, *, token: int | None = None, generation: int | None = None) -> Channel:
        """A channel of its own; the one of before ends."""
        return await open_machine(
            lambda: self.driver.open_channel(self.machine_id),
            machine_id=self.machine_id,
            token=self.token if token is None else token,
            generation=self.generation if generation is None else generation,
            authority=self.authority,
            deadline_seconds=OPEN_SECONDS,
        )

    async def channel(self) -> Channel:
        """The open channel, made anew when it was lost."""
        if self._channel is None or self._channel.lost.is_set():
            self._channel = await self.open()
        return self._channel

    async def cut(self) -> None:
        """Lose the connection as a killed worker does: no goodbye."""
        channel = await self.channel()
        assert channel._control is not None
        channel._control.abort()
        await channel.lost.wait()

    async def rest(self) -> None:
        """Freeze and hibernate: no process is left."""
        await (await self.channel()).freeze()
        await self.driver.hibernate(self.machine_id)

    async def wake(self) -> Channel:
        """Resume and open."""
        await self.driver.resume(self.machine_id)
        self.generation += 1
        return await self.channel()

    async def kill(self) -> None:
        """End the hypervisor as a crash does."""
        pid = (await self.driver.look(self.machine_id)).pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await self.driver.wait_ended(self.machine_id)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        await self.driver.destroy(self.machine_id)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the image before the first test: it takes longer than a test may."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    images = {"guest_image": _image, "agents_image": _agents, "engine_image": _engine}
    if wanted & images.keys() and not session.config.option.collectonly:
        # A host that can't: the fixture says so, to the tests that need it.
        with suppress(MachineError):
            for name in wanted & images.keys():
                images[name]()
            # Each change of the guest program has left one behind.
            asyncio.run(remove_unused(images_dir(), set(), idle_hours_min=IMAGE_IDLE_HOURS))


@pytest.fixture(scope="session")
def guest_image() -> Image:
    """The product's own image, from the tests' cache; the first run of a recipe builds it."""
    return _image()


@pytest.fixture(scope="session")
def agents_image() -> Image:
    """The same with AGENTS in it, fetched from the npm registry of this host."""
    image = _agents()
    assert set(image.agents) == set(AGENTS), "see above why they could not be fetched"
    return image


@pytest.fixture(scope="session")
def engine_image() -> Image:
    """The one that dev containers are made in."""
    return _engine()


def _agents() -> Image:
    return _image(AGENTS)


def _engine() -> Image:
    return asyncio.run(ensure_image(images_dir(), progress=print, engine=True))


def _image(agents: tuple[str, ...] = ()) -> Image:
    given = os.environ.get("ONA_TEST_GUEST_IMAGE")
    if given is None:
        return asyncio.run(ensure_image(images_dir(), progress=print, agents=agents))
    where = Path(given)
    return Image(
        kernel=where / "kernel", initrd=where / "initrd", disk=where / "disk", digest="given"
    )


@pytest.fixture(scope="module")
def vm_directory() -> Iterator[Path]:
    """A directory whose path is short enough for sockets, and gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="ona-vm-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vm(guest_image: Image, vm_directory: Path) -> AsyncIterator[Vm]:
    """The module's machine, booting; its first channel waits until it answers."""
    async with booting(guest_image, vm_directory, MEMORY_MIB) as machine:
        yield machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agents_vm(agents_image: Image, vm_directory: Path) -> AsyncIterator[Vm]:
    """A machine with agents in it."""
    async with booting(agents_image, vm_directory, AGENT_MEMORY_MIB) as machine:
        yield machine


@asynccontextmanager
async def booting(image: Image, directory: Path, memory_mib: int) -> AsyncIterator[Vm]:
    """A machine of this image, until the block ends."""
    qemu = Qemu(accelerator="tcg")
    driver = LocalDriver(directory, qemu, isolation=isolated(directory, qemu))
    spec = MachineSpec(image=image, vcpus=2, memory_mib=memory_mib, disk_gib=8)
    machine = Vm(driver, spec, await Authority.load(directory / "ca"))
    try:
        await machine.boot()
        yield machine
    finally:
        await machine.close()
        await driver.close()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[LocalRig]:
    """A directory for machines with the tiny guest, which boots in a second."""
    async with local_rig(tmp_path, Qemu(accelerator="tcg")) as rig:
        yield rig


@pytest.fixture
async def running(rig: LocalRig) -> str:
    return await started(rig)
