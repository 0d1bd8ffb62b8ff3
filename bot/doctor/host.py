"""Checks of the host: programs, QEMU and KVM, namespaces, memory.

None changes anything but the cache of the accelerator probe.
"""

import asyncio
import os
import pwd
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.doctor.installation import newest_kernel
from bot.hypervisor import probe_cache
from vmpool.drivers.qemu.build import inspect
from vmpool.errors import HostUnfit
from vmpool.probe import probe

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""A normal user's PATH often lacks them."""
PROGRAMS: Mapping[str, str] = {"git": "git", "ssh": "openssh-client", "qemu-img": "qemu-utils"}
IMAGE_PROGRAMS: Mapping[str, str] = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}
"""Program → the package that brings it."""


async def check_python(settings: Settings) -> Finding:
    """The Python that runs us."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="Python", verdict=Verdict.FINE, found=f"{version} at {sys.executable}")


async def check_qemu(settings: Settings) -> Finding:
    """The hypervisor, asked and not only looked for."""
    name = "QEMU"
    try:
        build = await inspect(settings.machine.qemu)
    except HostUnfit as error:
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=str(error),
            follows="No machine can run.",
            do="Install it: apt-get install qemu-system-x86",
        )
    where = shutil.which(settings.machine.qemu)
    return Finding(name=name, verdict=Verdict.FINE, found=f"{build.version} at {where}")


async def check_accelerator(settings: Settings) -> Finding:
    """Whether KVM works, found out by running guests under it."""
    name, kernel = "KVM", newest_kernel(settings)
    try:
        cache = probe_cache(settings)
        finding = await probe(qemu=settings.machine.qemu, cache=cache, kernel=kernel)
    except HostUnfit as error:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"not tried: {error}",
            follows="Without QEMU there is nothing to try it with.",
        )
    chosen = settings.machine.accelerator
    if finding.accelerator == "kvm":
        return Finding(name=name, verdict=Verdict.FINE, found=finding.why)
    if chosen == "kvm":
        return Finding(
            name=name,
            verdict=Verdict.MISSING,
            found=finding.why,
            follows="The settings demand KVM: no machine will start.",
            do="Set machine.accelerator to auto.",
        )
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found=finding.why,
        follows="Machines run by software emulation: all works, several times slower.",
        do="Use a host with KVM, or switch nested virtualisation on, for speed.",
    )


async def check_user_namespaces(settings: Settings) -> Finding:
    """What PostgreSQL needs as root, and making the guest image as anybody else."""
    name, root = "user namespaces", os.geteuid() == 0
    mapped = ("--map-user=65534", "--map-group=65534") if root else ("--map-root-user",)
    status, said = await _run("unshare", "--user", *mapped, "true")
    if status == 0:
        return Finding(name=name, verdict=Verdict.FINE, found="they can be made")
    if root:
        own = settings.database.url is not None
        return Finding(
            name=name,
            verdict=Verdict.LESS if own else Verdict.MISSING,
            found=said,
            follows="PostgreSQL can't be run as root here.",
            do="Run ona as a normal user, or set database.url.",
        )
    return Finding(
        name=name,
        verdict=_unless_image(settings),
        found=said,
        follows="The guest image can't be made by this user.",
        do="Allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) or "
        "kernel.unprivileged_userns_clone=1; or run ona as root.",
    )


async def check_subordinate_ids(settings: Settings) -> Finding:
    """What making the guest image without root needs besides."""
    name = "subordinate ids"
    if os.geteuid() == 0:
        return Finding(name=name, verdict=Verdict.FINE, found="not needed by root")
    user = pwd.getpwuid(os.geteuid()).pw_name
    lacking = [
        path
        for path in ("/etc/subuid", "/etc/subgid")
        if not any(line.split(":")[0] in {user, str(os.geteuid())} for line in _lines(path))
    ]
    if shutil.which("newuidmap") is None:
        lacking.insert(0, "newuidmap")
    if not lacking:
        return Finding(name=name, verdict=Verdict.FINE, found=f"{user} has some")
    return Finding(
        name=name,
        verdict=_unless_image(settings),
        found=f"{user} is not in {' and '.join(lacking)}",
        follows="The guest image can't be made by this user.",
        do="apt-get install uidmap; "
        f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}",
    )


async def check_memory(settings: Settings) -> Finding:
    """Memory for one machine, and for as many as may run at once."""
    available = next(
        int(line.split()[1]) // 1024
        for line in _lines("/proc/meminfo")
        if line.startswith("MemAvailable")
    )
    machine = settings.machine
    each = settings.sizes[machine.size].memory_mib
    fitting = available // each
    found = f"{available} MiB available, {each} MiB a {machine.size} machine"
    if fitting >= machine.running_max:
        return Finding(name="memory", verdict=Verdict.FINE, found=found)
    return Finding(
        name="memory",
        verdict=Verdict.LESS,
        found=found,
        follows=f"{fitting} machines fit now; {machine.running_max} may run at once.",
        do="Lower machine.running_max, or choose a smaller machine.size.",
    )


async def check_programs(settings: Settings) -> Finding:
    """What is called again and again."""
    follows = "Repositories, machines and logins need it."
    return _programs("programs", PROGRAMS, Verdict.MISSING, follows)


async def check_image_programs(settings: Settings) -> Finding:
    """What makes the guest image."""
    follows = "The guest image can't be made, nor made again for security fixes."
    return _programs("image programs", IMAGE_PROGRAMS, _unless_image(settings), follows)


def _programs(name: str, packages: Mapping[str, str], worst: Verdict, follows: str) -> Finding:
    path = os.pathsep.join([*os.get_exec_path(), *SBIN])
    lacking = [program for program in packages if shutil.which(program, path=path) is None]
    if not lacking:
        return Finding(name=name, verdict=Verdict.FINE, found=", ".join(packages))
    wanted = " ".join(packages[program] for program in lacking)
    return Finding(
        name=name,
        verdict=worst,
        found=f"{', '.join(lacking)} not found",
        follows=follows,
        do=f"Install: apt-get install {wanted}",
    )


def _unless_image(settings: Settings) -> Verdict:
    """How bad it is that no image can be made here: there may be one."""
    return Verdict.MISSING if newest_kernel(settings) is None else Verdict.LESS


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


async def _run(*argv: str) -> tuple[int, str]:
    """Run a short program; its status and the last line of what it said."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror}"
    said, _ = await process.communicate()
    lines = said.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, lines[-1] if lines else "it said nothing"
