"""What the probe concludes, on this host and on hosts where KVM is broken in known ways."""

import json
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import tiny_image
from vmpool import probe as probing
from vmpool.errors import HostUnfit
from vmpool.probe import probe, try_firmware, try_kernel

QEMU = "qemu-system-x86_64"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "state" / "probe.json"


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Something that can be opened like /dev/kvm, so that hosts without it run these tests too."""
    device = tmp_path / "kvm"
    device.touch()
    monkeypatch.setattr(probing, "KVM_DEVICE", device)
    return device


def stand_in(tmp_path: Path, body: str) -> str:
    """A program called like QEMU that answers as the real one when asked what it is."""
    program = tmp_path / "qemu"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, sys, time\n"
        f"if '-qmp' in sys.argv: os.execvp({QEMU!r}, [{QEMU!r}, *sys.argv[1:]])\n"
        f"with open({str(tmp_path / 'calls')!r}, 'a') as calls: calls.write('x')\n" + body
    )
    program.chmod(0o755)
    return str(program)


MARKS = f"sys.stdout.write({probing.MARKER.decode()!r}); sys.stdout.flush(); time.sleep(60)\n"


@pytest.mark.vm
async def test_the_firmware_prints_its_marker_under_software_emulation() -> None:
    assert await try_firmware(QEMU, "tcg") is None


@pytest.mark.vm
async def test_a_stock_kernel_comes_up_under_software_emulation() -> None:
    assert await try_kernel(QEMU, "tcg", tiny_image(cache_dir()).kernel) is None


@pytest.mark.vm
async def test_the_probe_decides_on_this_host_within_seconds(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "KVM_DEVICE", Path("/dev/kvm"))
    finding = await probe(qemu=QEMU, cache=cache, kernel=tiny_image(cache_dir()).kernel)
    assert finding.accelerator in ("kvm", "tcg")
    assert finding.proven
    assert finding.why
    assert finding.seconds < probing.FIRMWARE_SECONDS_MAX + probing.KERNEL_SECONDS_MAX + 5


async def test_an_aborting_qemu_means_software_emulation(tmp_path: Path, cache: Path) -> None:
    qemu = stand_in(tmp_path, "print('failed to set MSR'); os.abort()\n")
    finding = await probe(qemu=qemu, cache=cache)
    assert finding.accelerator == "tcg"
    assert "failed to set MSR" in finding.why


async def test_a_kernel_that_hangs_means_software_emulation_after_the_limit(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "KERNEL_SECONDS_MAX", 0.5)
    qemu = stand_in(tmp_path, f"if '-kernel' in sys.argv: time.sleep(60)\n{MARKS}")
    started = time.monotonic()
    finding = await probe(qemu=qemu, cache=cache, kernel=tmp_path / "kernel")
    assert time.monotonic() - started < 10
    assert finding.accelerator == "tcg"
    assert "kernel does not come up" in finding.why


async def test_without_a_kernel_kvm_is_believed_but_not_proven(tmp_path: Path, cache: Path) -> None:
    qemu = stand_in(tmp_path, MARKS)
    first = await probe(qemu=qemu, cache=cache)
    assert (first.accelerator, first.proven) == ("kvm", False)
    second = await probe(qemu=qemu, cache=cache, kernel=tmp_path / "kernel")
    assert (second.accelerator, second.proven) == ("kvm", True)


async def test_what_was_found_is_remembered(tmp_path: Path, cache: Path) -> None:
    qemu = stand_in(tmp_path, "sys.exit(1)\n")
    first = await probe(qemu=qemu, cache=cache)
    assert await probe(qemu=qemu, cache=cache) == first
    assert (tmp_path / "calls").read_text() == "x"


@pytest.mark.parametrize("spoil", ["another boot", "not json"])
async def test_a_memory_of_another_boot_or_a_broken_one_is_not_believed(
    tmp_path: Path, cache: Path, spoil: str
) -> None:
    qemu = stand_in(tmp_path, "sys.exit(1)\n")
    await probe(qemu=qemu, cache=cache)
    found = json.loads(cache.read_text())
    cache.write_text("{" if spoil == "not json" else json.dumps({**found, "key": "other"}))
    await probe(qemu=qemu, cache=cache)
    assert (tmp_path / "calls").read_text() == "xx"


async def test_no_device_means_software_emulation_and_is_not_remembered(
    cache: Path, device: Path
) -> None:
    device.unlink()
    finding = await probe(qemu=QEMU, cache=cache)
    assert finding.accelerator == "tcg"
    assert "no /dev/kvm" in finding.why
    assert not cache.exists()


async def test_a_missing_qemu_is_told_to_the_operator(cache: Path) -> None:
    with pytest.raises(HostUnfit, match="install"):
        await probe(qemu="/nonexistent/qemu", cache=cache)
