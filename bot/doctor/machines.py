"""Checks of what machines run under and lie on: Cloud Hypervisor, the file system, cgroups."""

import asyncio
import tempfile
from pathlib import Path

from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.doctor.installation import existing_part
from bot.hypervisor import chosen_accelerator, isolation
from vmpool.drivers.cgroup import Cgroups
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.cloud_hypervisor.disk import reflink
from vmpool.drivers.cloud_hypervisor.hypervisor import TESTED
from vmpool.drivers.isolation import Isolation
from vmpool.errors import HostUnfit


async def check_cloud_hypervisor(settings: Settings) -> Finding:
    """The hypervisor with quick clones: there, new enough, tested."""
    name, wish = "Cloud Hypervisor", settings.machine.hypervisor
    if wish == "qemu":
        return Finding(name=name, verdict=Verdict.FINE, found="not asked for by the settings")
    try:
        build = await CloudHypervisor(binary=settings.machine.cloud_hypervisor).installed()
    except HostUnfit as error:
        return Finding(
            name=name,
            verdict=Verdict.MISSING if wish == "cloud-hypervisor" else Verdict.LESS,
            found=str(error),
            follows="Machines run under QEMU: each takes all its memory, and waking takes longer.",
            do="Install it from its releases, or name it by machine.cloud_hypervisor.",
        )
    if build not in TESTED:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found=f"{build}; tested with {', '.join(TESTED)}",
            follows="It may do something else than ona expects of it.",
        )
    return Finding(name=name, verdict=Verdict.FINE, found=build)


async def check_extents(settings: Settings) -> Finding:
    """Whether copies of disks and memories are made without their bytes."""
    name, where = "shared extents", existing_part(settings.host_dir)
    if await asyncio.to_thread(_shares_extents, where):
        return Finding(name=name, verdict=Verdict.FINE, found=f"files at {where} can share them")
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found=f"files at {where} can't share them",
        follows="Under Cloud Hypervisor disks are copied, and a hibernation writes all memory.",
        do="Put ONA_DATA_DIR on XFS or Btrfs.",
    )


def _shares_extents(where: Path) -> bool:
    try:
        with tempfile.TemporaryDirectory(prefix="ona-doctor-", dir=where) as directory:
            old = Path(directory, "old")
            old.write_bytes(bytes(4096))
            return reflink(old, Path(directory, "new"))
    except OSError:
        return False


async def check_bounds(settings: Settings) -> Finding:
    """Whether a machine can be kept from taking more of the host than is its share."""
    cgroups = Cgroups.of(settings.machines_dir)
    if not cgroups.why_not:
        return Finding(name="bounds", verdict=Verdict.FINE, found="machines get cgroups")
    return Finding(
        name="bounds",
        verdict=Verdict.LESS,
        found=cgroups.why_not,
        follows="A machine's process may take more CPU and memory than its size says.",
        do="Run ona as a service with Delegate=yes, on a host with cgroups of version 2.",
    )


async def check_isolation(settings: Settings) -> Finding:
    """Whether a machine's process that was broken into finds nothing of the host."""
    name = "isolation"
    if not settings.machine.isolated:
        return Finding(
            name=name,
            verdict=Verdict.LESS,
            found="not wanted by the settings",
            follows="Machines have no network, and their processes run with our rights.",
            do="Remove machine.isolated.",
        )
    kvm = (await chosen_accelerator(settings, None)).accelerator == "kvm"
    apart = isolation(settings, kvm=kvm)
    lacks = [] if apart.has_landlock else ["the kernel offers no Landlock"]
    lacks += [apart.why_not] if apart.why_not else []
    if not lacks:
        return Finding(name=name, verdict=Verdict.FINE, found="own uid, network slot, Landlock")
    return Finding(
        name=name,
        verdict=Verdict.LESS,
        found="; ".join(lacks),
        follows=_without(apart),
        do="Run ona as root, on a kernel with Landlock (Linux 5.13 or later).",
    )


def _without(apart: Isolation) -> str:
    if apart.has_slots:
        return "A machine's process that is broken into may read what every user may."
    return "Machines have no network, and their processes run with our rights."
