"""Programs that lay down disks, or say what they are, and hang."""

import asyncio
import time
from pathlib import Path

import pytest

from vmpool.drivers import disk as disks
from vmpool.drivers.cloud_hypervisor import CloudHypervisor, disk, hypervisor
from vmpool.drivers.qemu import disk as qemu_disk
from vmpool.errors import HostUnfit
from vmpool.program import SYSTEM, SYSTEM_PATH


@pytest.fixture
def hangs(tmp_path: Path) -> Path:
    """A program that says who it is in a file, and nothing else."""
    program = tmp_path / "hangs"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 100\n")
    program.chmod(0o700)
    return program


def is_gone(hangs: Path) -> bool:
    pid = int(hangs.with_name("pid").read_text())
    return not Path(f"/proc/{pid}").exists()


async def overlay(hangs: Path) -> None:
    base = hangs.with_name("base")
    base.write_bytes(b"base")
    await qemu_disk.make_overlay(
        str(hangs), hangs.with_name("disk"), base=base, base_format="raw", disk_gib=1
    )


async def test_an_overlay_that_is_never_made_is_given_up(
    hangs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "DISK_SECONDS_MAX", 2.0)
    with pytest.raises(HostUnfit, match=r"longer than 2 s"):
        await overlay(hangs)
    assert is_gone(hangs)


async def test_an_overlay_that_nobody_waits_for_any_more_leaves_no_program(hangs: Path) -> None:
    making = asyncio.create_task(overlay(hangs))
    until = time.monotonic() + 30
    while not hangs.with_name("pid").exists() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    making.cancel()
    await asyncio.wait([making])
    assert is_gone(hangs)


async def test_a_file_system_that_is_never_made_is_given_up(
    hangs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs.rename(hangs.with_name("mke2fs"))
    monkeypatch.setitem(SYSTEM, "PATH", f"{hangs.parent}:{SYSTEM_PATH}")
    monkeypatch.setattr(disks, "DISK_SECONDS_MAX", 2.0)
    with pytest.raises(HostUnfit, match=r"longer than 2 s"):
        await disk.make_writable(hangs.with_name("disk"), gib=1)
    assert is_gone(hangs)


async def test_a_hypervisor_that_never_says_its_version_leaves_no_process(
    hangs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hypervisor, "VERSION_SECONDS_MAX", 2.0)
    with pytest.raises(HostUnfit, match="does not say its version"):
        await CloudHypervisor(binary=str(hangs)).installed()
    assert is_gone(hangs)
