"""Finds out whether KVM works here, by running guests under it.

That /dev/kvm exists says little: there are hosts where QEMU aborts on it, and hosts where small
programs run and a stock kernel never comes up. So: first a firmware of a few bytes, then, when a
guest kernel is given, that kernel with a tiny initrd. Each has seconds; whatever does not print its
marker in time means software emulation.

What was tried is remembered per boot of the host, QEMU build and guest kernel.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vmpool.drivers.process import read_boot_id
from vmpool.drivers.qemu.argv import Accelerator
from vmpool.drivers.qemu.build import inspect
from vmpool.probe_guest import MARKER, firmware, initrd

FIRMWARE_SECONDS_MAX = 4.0
KERNEL_SECONDS_MAX = 10.0
OUTPUT_BYTES_MAX = 256 * 1024
KVM_DEVICE = Path("/dev/kvm")

ENGINES: dict[Accelerator, list[str]] = {
    "kvm": ["-accel", "kvm", "-cpu", "host"],
    "tcg": ["-accel", "tcg", "-cpu", "max"],
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Which accelerator to use on this host, and why."""

    accelerator: Accelerator
    why: str
    """One sentence for a person."""
    seconds: float
    """How long finding out took, at the time it was found out."""
    proven: bool
    """Whether nothing more could be learnt: False while KVM ran no kernel yet."""


async def probe(*, qemu: str, cache: Path | None, kernel: Path | None = None) -> Finding:
    """Find out, or remember, what works; `cache` is the file to remember in, if any.

    Without a kernel KVM is believed after the firmware alone; ask again once there is one. A
    broken KVM is a finding, never an error.

    :raises HostUnfit: QEMU itself is missing
    """
    if why := _no_device():
        return Finding(accelerator="tcg", why=why, seconds=0.0, proven=True)
    key = "|".join([read_boot_id(), (await inspect(qemu)).version])
    known = _recall(cache, key)
    if known is not None and (known.proven or kernel is None):
        return known
    started = time.monotonic()
    refused = await try_firmware(qemu, "kvm")
    if refused is None and kernel is not None:
        refused = await try_kernel(qemu, "kvm", kernel)
    seconds = round(time.monotonic() - started, 3)
    finding = _concluded(refused, kernel_tried=kernel is not None, seconds=seconds)
    if cache is not None:
        _remember(cache, key, finding)
    return finding


async def try_firmware(qemu: str, accelerator: Accelerator) -> str | None:
    """Run a few bytes of 16-bit code; returns why that did not work, or None."""
    with tempfile.TemporaryDirectory(prefix="ona-probe-") as work:
        image = Path(work) / "firmware"
        await asyncio.to_thread(image.write_bytes, firmware())
        guest = ["-m", "16M", "-bios", str(image), "-debugcon", "stdio"]
        return await _refusal(_command(qemu, accelerator, guest), FIRMWARE_SECONDS_MAX)


async def try_kernel(qemu: str, accelerator: Accelerator, kernel: Path) -> str | None:
    """Boot a kernel into a program that prints a line; returns why that did not work, or None."""
    with tempfile.TemporaryDirectory(prefix="ona-probe-") as work:
        image = Path(work) / "initrd"
        await asyncio.to_thread(image.write_bytes, initrd())
        boot = ["-kernel", str(kernel), "-initrd", str(image)]
        guest = [*boot, "-append", "console=ttyS0 quiet panic=-1", "-m", "256M", "-serial", "stdio"]
        why = await _refusal(_command(qemu, accelerator, guest), KERNEL_SECONDS_MAX)
    return f"a guest kernel does not come up: {why}" if why else None


def _command(qemu: str, accelerator: Accelerator, guest: list[str]) -> list[str]:
    common = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    return [qemu, "-machine", "q35", *ENGINES[accelerator], *common, *guest]


async def _refusal(command: list[str], seconds_max: float) -> str | None:
    """Run a guest until it prints the marker; returns why it didn't, or None."""
    # A guest that hangs must end even when we are killed meanwhile.
    process = await asyncio.create_subprocess_exec(
        *("timeout", "-s", "KILL", str(seconds_max + 5), *command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = b""
    try:
        async with asyncio.timeout(seconds_max):
            while chunk := await process.stdout.read(4096):
                output = (output + chunk)[-OUTPUT_BYTES_MAX:]
                if MARKER in output:
                    return None
    except TimeoutError:
        return f"nothing came within {seconds_max:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    words = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return f"QEMU ended: {words[0][:200]}" if words else "QEMU ended without a word"


def _no_device() -> str | None:
    if not KVM_DEVICE.exists():
        return "this host has no /dev/kvm"
    if not os.access(KVM_DEVICE, os.R_OK | os.W_OK):
        return "/dev/kvm may not be opened by this user; add the user to the group kvm"
    return None


def _concluded(refused: str | None, *, kernel_tried: bool, seconds: float) -> Finding:
    if refused is not None:
        why = f"KVM does not work here: {refused}"
        return Finding(accelerator="tcg", why=why, seconds=seconds, proven=True)
    what = "a guest kernel" if kernel_tried else "a small guest; no kernel was tried yet"
    why = f"KVM ran {what}"
    return Finding(accelerator="kvm", why=why, seconds=seconds, proven=kernel_tried)


def _recall(cache: Path | None, key: str) -> Finding | None:
    if cache is None:
        return None
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(cache.read_text())
        if found["key"] == key:
            return Finding(**found["finding"])
    return None


def _remember(cache: Path, key: str, finding: Finding) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_name(f"{cache.name}.{os.getpid()}.new")
    fresh.write_text(json.dumps({"key": key, "finding": asdict(finding)}))
    os.rename(fresh, cache)
