"""The test bed: a machine whose emulated processor has AMD-V, so that KVM works inside.

L0 is this host, L1 the emulated machine, L2 a guest of Cloud Hypervisor in L1. One virtual CPU and
one thread of emulation: with more of either, L1's kernel hangs. It still may; then L1 is killed
and a new one goes on with the tests that have not passed yet.
"""

import asyncio
import os
import platform
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.caches import cache_dir, images_dir
from tests.fakes.tiny_guest import tiny_image
from tests.nested.image import L1Image, Say, ensure_l1_image
from tests.nested.load import HYPERVISOR, PACKAGES, PROJECT, write_load
from tests.nested.workplace import record, workplace
from vmpool.drivers.process import Process, is_alive, kill, start
from vmpool.errors import HostUnfit
from vmpool.image import ensure_image
from vmpool.image_recipe.programs import demand_programs

MEMORY_MIB = 6144
GUEST_IMAGE_GIB = 4
"""Apparent size; sparse."""
SCRATCH_GIB = 16
"""Apparent size of the disk that tests write to; sparse."""
BOOT_SECONDS_MAX = 180.0
LOGIN_SECONDS_MAX = 20.0
ALIVE_SECONDS = 15
ALIVE_COUNT_MAX = 6
"""So many questions, so many seconds apart, may go unanswered before L1 counts as hung."""
RESTARTS_MAX = 3
TEST_SECONDS_MAX = 600
"""The time limit of a test in L1, where everything takes several times as long."""
SERIAL_LINES_SHOWN = 30

BROKEN_STATUS = 70
"""Exit status when L1 could not be kept alive; pytest's are smaller."""
_SSH_LOST_STATUS = 255
_NO_TEST_STATUS = 5
_PASSED = re.compile(r"(tests/\S+::.+?) PASSED +\[ *\d+%\]$")

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
KERNEL_ARGUMENTS = (
    "console=ttyS0 loglevel=5 panic=-1 mitigations=off random.trust_cpu=on nokaslr net.ifnames=0"
)


class Hung(Exception):
    """L1 ended or does not answer; the text says which."""


async def run_in_bed(pytest_arguments: Sequence[str], *, hypervisor: Path, say: Say) -> int:
    """Run pytest in L1, its output on ours; returns its exit status, or BROKEN_STATUS.

    Nothing of it is left afterwards but the image in the cache. The first run takes minutes.

    :param hypervisor: the `cloud-hypervisor` binary of this host that the tests are to use
    :raises HostUnfit: a program, a right or the network is missing, or the Pythons differ
    :raises HostFull: no room
    """
    demand_programs(PROGRAMS)
    if platform.machine() != "x86_64":
        raise HostUnfit("the bed emulates AMD-V, and its packages are those of an x86-64 host")
    cache = cache_dir() / "nested"
    cache.mkdir(parents=True, exist_ok=True)
    image = await ensure_l1_image(cache, say=say)
    if image.python != sys.version_info[:2]:
        raise HostUnfit(
            f"L1 has Python {image.python[0]}.{image.python[1]} and can't load the packages of "
            f"this environment's {sys.version_info[0]}.{sys.version_info[1]}; make .venv with the "
            "distribution's own python3"
        )
    guest = (await asyncio.to_thread(tiny_image, cache_dir())).disk.parent
    async with workplace(cache, say=say) as work:
        key = await _make_key(work)
        await asyncio.to_thread(
            write_load, work / "load", public_key=key, hypervisor=hypervisor, guest=guest
        )
        await _pack_guest_image(work / "image", say)
        return await _with_restarts(image, work, pytest_arguments, say)


async def _pack_guest_image(disk: Path, say: Say) -> None:
    """Give L1 the product's own image as a file system: it could not be built inside."""
    built = await ensure_image(images_dir(), progress=say)
    command = ("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d")
    words = [*command, str(built.disk.parent), str(disk), f"{GUEST_IMAGE_GIB}G"]
    process = await asyncio.create_subprocess_exec(
        *words, env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, stdin=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise HostUnfit("mke2fs could not pack the guest's image")


async def _with_restarts(
    image: L1Image, work: Path, pytest_arguments: Sequence[str], say: Say
) -> int:
    passed: list[str] = []
    for restarts_left in reversed(range(RESTARTS_MAX + 1)):
        try:
            async with _l1(image, work) as l1:
                await _boot(l1, say)
                return await _pytest(l1, [*pytest_arguments, *_without(passed)], passed)
        except Hung as error:
            kept = work.parent / "hung-serial.log"
            shutil.copy(work / "serial.log", kept)
            lines = kept.read_text(errors="replace").splitlines()[-SERIAL_LINES_SHOWN:]
            say("\n".join([f"L1's last words, all of them in {kept}:", *lines]))
            say(
                f"!!! {error}; {len(passed)} tests have passed, THE OTHERS START AGAIN, "
                f"{restarts_left} more times at most"
                if restarts_left
                else f"!!! {error}; giving up, THE TESTS DID NOT RUN TO THEIR END"
            )
    return BROKEN_STATUS


@dataclass(frozen=True, kw_only=True)
class _L1:
    process: Process
    port: int
    """Of ssh, on this host's loopback."""
    key: Path


@asynccontextmanager
async def _l1(image: L1Image, work: Path) -> AsyncIterator[_L1]:
    with (work / "scratch").open("wb") as scratch:
        scratch.truncate(SCRATCH_GIB << 30)
    port = _free_port()
    (work / "serial.log").write_bytes(b"")
    process = start(_argv(image, work, port), output=work / "qemu.log")
    try:
        record(work, process)
        yield _L1(process=process, port=port, key=work / "key")
    finally:
        # Nothing in it is worth a shutdown.
        await kill(process)


def _argv(image: L1Image, work: Path, port: int) -> list[str]:
    forward = f"hostfwd=tcp:127.0.0.1:{port}-:22"
    return [
        # Killed without a chance to tidy up, we take it with us.
        *("setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64"),
        *("-name", "ona-nested", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "q35", "-accel", "tcg,thread=single,tb-size=1024", "-cpu", "max"),
        *("-smp", "1", "-m", str(MEMORY_MIB), "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", KERNEL_ARGUMENTS, "-serial", f"file:{work / 'serial.log'}"),
        *("-object", "rng-random,id=rng,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=rng"),
        *("-netdev", f"user,id=net,restrict=on,{forward}"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        *_drive("root", image.disk, "snapshot=on"),
        *_drive("load", work / "load", "read-only=on"),
        *_drive("image", work / "image", "read-only=on"),
        *_drive("scratch", work / "scratch", "cache=unsafe,discard=unmap"),
    ]


def _drive(name: str, file: Path, options: str) -> tuple[str, ...]:
    drive = f"if=none,id={name},format=raw,file={str(file).replace(',', ',,')},{options}"
    return ("-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}")


def _free_port() -> int:
    # Somebody may take it before QEMU does: then QEMU ends at once, and is started again.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _boot(l1: _L1, say: Say) -> None:
    began = time.monotonic()
    try:
        async with asyncio.timeout(BOOT_SECONDS_MAX):
            while not await _is_up(l1):
                if not is_alive(l1.process):
                    raise Hung("L1 ended while it booted")
                await asyncio.sleep(0.5)
    except TimeoutError:
        raise Hung(f"L1 did not come up within {BOOT_SECONDS_MAX:.0f} s") from None
    say(f"L1 answers, {time.monotonic() - began:.0f} s after its start")


async def _is_up(l1: _L1) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(LOGIN_SECONDS_MAX):
            return await _ssh(l1, "[ -e /run/kvm-is-held ]", quiet=True) == 0
    return False


def _without(passed: Sequence[str]) -> list[str]:
    return [f"--deselect={test}" for test in passed]


def passed_in(line: str) -> str | None:
    """The test that passed, of one line of pytest's output; None: it says something else."""
    found = _PASSED.match(line)
    return found.group(1) if found else None


async def _pytest(l1: _L1, arguments: Sequence[str], passed: list[str]) -> int:
    """Run pytest in L1; what passes goes into `passed` as it does. :raises Hung:"""
    environment = [
        f"PYTHONPATH={PACKAGES}",
        f"CLOUD_HYPERVISOR={HYPERVISOR}",
        "ONA_TEST_GUEST_IMAGE=/bed/image",
        "LC_ALL=C.UTF-8",
    ]
    limit = f"timeout={TEST_SECONDS_MAX}"
    command = ["python3", "-u", "-m", "pytest", "-v", "-o", limit, *arguments]
    words = shlex.join(["env", *environment, *command])
    # The shell's own exit: when pytest is killed, ssh says 255 as for a lost connection.
    status = await _ssh(l1, f"cd {PROJECT} && {words}; exit $?", tell=passed)
    if status == _SSH_LOST_STATUS:
        silent = ALIVE_SECONDS * ALIVE_COUNT_MAX
        raise Hung(
            f"L1 said nothing for {silent} s" if is_alive(l1.process) else "L1 ended by itself"
        )
    # The last one of all had passed when L1 hung.
    return 0 if status == _NO_TEST_STATUS and passed else status


async def _ssh(l1: _L1, command: str, *, quiet: bool = False, tell: list[str] | None = None) -> int:
    output = asyncio.subprocess.DEVNULL if quiet else None
    ssh = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-i", str(l1.key), "-p", str(l1.port)),
        # A machine of ours on our own loopback, with a new host key at each start.
        *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}"),
        *("-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"),
        *("-o", f"ConnectTimeout={LOGIN_SECONDS_MAX:.0f}"),
        *("-o", f"ServerAliveInterval={ALIVE_SECONDS}"),
        *("-o", f"ServerAliveCountMax={ALIVE_COUNT_MAX}", "-o", "LogLevel=ERROR"),
        *("root@127.0.0.1", command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output if tell is None else asyncio.subprocess.PIPE,
        stderr=output,
        # Ctrl-C is for us alone: it must not look like a lost connection.
        start_new_session=True,
    )
    try:
        if ssh.stdout is not None and tell is not None:
            await _pass_on(ssh.stdout, tell)
        return await ssh.wait()
    finally:
        if ssh.returncode is None:
            ssh.kill()
            await ssh.wait()


async def _pass_on(output: asyncio.StreamReader, passed: list[str]) -> None:
    """Print what pytest says, and note what passed."""
    rest = b""
    while piece := await output.read(1 << 16):
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        *lines, rest = (rest + piece).split(b"\n")
        found = (passed_in(line.decode(errors="replace")) for line in lines)
        passed += [test for test in found if test is not None]


async def _make_key(work: Path) -> str:
    command = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(work / "key"))
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise HostUnfit("ssh-keygen could not make a key")
    return (work / "key.pub").read_text()
