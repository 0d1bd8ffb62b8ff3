"""`python -m tests.nested [pytest arguments]`: the tests that want a real Cloud Hypervisor.

CLOUD_HYPERVISOR names the binary. Where KVM works they just run here; elsewhere they run in an
emulated machine whose KVM does. Without a path among the arguments all of them run.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.caches import cache_dir
from tests.fakes.tiny_guest import tiny_image
from tests.nested.bed import run_in_bed
from tests.nested.load import ROOT
from vmpool.errors import HostFull, HostUnfit
from vmpool.probe import probe

SELECTION = (
    "-m", "nested", "tests/nested", "tests/contracts",
    "tests/integration/vm/test_clones.py", "tests/integration/vm/test_isolation.py",
    "tests/integration/vm/test_pool.py",
)  # fmt: skip
"""What runs when the caller names no path."""
QEMU = "qemu-system-x86_64"

UNFIT_STATUS = 69
"""Exit status when this host lacks something."""
SIGNALLED_STATUS = 130


def say(words: str) -> None:
    """Tell a person."""
    print(f"nested: {words}", file=sys.stderr, flush=True)


def pytest_arguments(arguments: Sequence[str]) -> list[str]:
    """Add what to run unless the caller said it."""
    named = any((ROOT / each.partition("::")[0]).exists() for each in arguments)
    return [*arguments] if named else [*arguments, *SELECTION]


async def has_kvm() -> bool:
    """Whether guests run under KVM here; tried, not believed."""
    if not Path("/dev/kvm").exists():
        return False
    image = await asyncio.to_thread(tiny_image, cache_dir())
    finding = await probe(qemu=QEMU, cache=cache_dir() / "nested" / "kvm", kernel=image.kernel)
    say(finding.why)
    return finding.accelerator == "kvm"


async def run(arguments: Sequence[str], hypervisor: Path) -> int:
    """Run pytest here or in the bed; returns its exit status."""
    if not await has_kvm():
        return await run_in_bed(arguments, hypervisor=hypervisor, say=say)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", *arguments,
        cwd=ROOT, env={**os.environ, "CLOUD_HYPERVISOR": str(hypervisor)},
    )  # fmt: skip
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def until_signalled(arguments: Sequence[str], hypervisor: Path) -> int:
    """Like `run`; SIGINT, SIGTERM and SIGHUP end it and what it started."""
    working = asyncio.create_task(run(arguments, hypervisor))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    try:
        return await working
    except asyncio.CancelledError:
        return SIGNALLED_STATUS


def main(arguments: Sequence[str]) -> int:
    """The whole command; returns its exit status."""
    wanted = os.environ.get("CLOUD_HYPERVISOR")
    if not wanted:
        say(
            "!!! NOTHING WAS RUN: set CLOUD_HYPERVISOR to a cloud-hypervisor binary of v53 or later"
        )
        return 0
    hypervisor = shutil.which(wanted)
    if hypervisor is None:
        say(f"CLOUD_HYPERVISOR={wanted} is no program that may be run")
        return UNFIT_STATUS
    try:
        return asyncio.run(until_signalled(pytest_arguments(arguments), Path(hypervisor).resolve()))
    except (HostUnfit, HostFull) as error:
        say(str(error))
        return UNFIT_STATUS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
