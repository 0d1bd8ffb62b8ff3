"""Who may resume a rest: the build, the processor and the kernel of this host, as they are now."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.cloud_hypervisor import hypervisor as of_cloud_hypervisor
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.qemu import Qemu
from vmpool.drivers.qemu import hypervisor as of_qemu
from vmpool.rest import Stamp

Stamped = Callable[..., Awaitable[Stamp]]
IMAGE = Image(kernel=Path("/i/k"), initrd=Path("/i/r"), disk=Path("/i/d"), digest="d1")
SPEC = MachineSpec(image=IMAGE, vcpus=2, memory_mib=512, disk_gib=8)
QMP = (
    '{{"QMP": {{"version": {{"qemu": {{"major": {0}, "minor": 2, "micro": 1}}, "package": ""}}}}}}'
)
PROGRAMS: dict[str, tuple[Callable[[str], Hypervisor], Callable[[int], str]]] = {
    "cloud-hypervisor": (
        lambda path: CloudHypervisor(binary=path),
        lambda major: f"cloud-hypervisor v{major}.0.0",
    ),
    "qemu": (lambda path: Qemu(accelerator="kvm", binary=path), QMP.format),
}


@pytest.fixture(params=PROGRAMS)
def stamp(request: pytest.FixtureRequest, tmp_path: Path) -> Stamped:
    """What a hypervisor of this version would stamp a rest with."""
    make, words = PROGRAMS[request.param]

    async def stamped(major: int = 60) -> Stamp:
        program = tmp_path / f"program-{major}"
        program.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{words(major)}'\n")
        program.chmod(0o755)
        return await make(str(program)).stamp(SPEC)

    return stamped


async def test_the_same_host_gives_the_same_stamp(stamp: Stamped) -> None:
    assert await stamp() == await stamp()


async def test_another_version_gives_another_build(stamp: Stamped) -> None:
    old, new = await stamp(60), await stamp(61)
    assert old.build != new.build
    assert old.fingerprint == new.fingerprint


@pytest.mark.parametrize("what", ["processor", "kernel"])
async def test_another_processor_or_kernel_gives_another_fingerprint(
    stamp: Stamped, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    here = await stamp()
    if what == "kernel":
        monkeypatch.setattr("platform.release", lambda: "another kernel")
    else:
        for where in (of_cloud_hypervisor, of_qemu):
            monkeypatch.setattr(where, "host_cpu", lambda: "another processor")
    there = await stamp()
    assert there.build == here.build
    assert there.fingerprint != here.fingerprint
