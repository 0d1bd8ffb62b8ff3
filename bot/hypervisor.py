"""Which hypervisor the machines of this host run under: what the settings say, or what works."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from bot.config import Settings
from vmpool.drivers.cloud_hypervisor import CloudHypervisor
from vmpool.drivers.hypervisor import Hypervisor
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.qemu import Qemu
from vmpool.errors import HostUnfit
from vmpool.probe import KVM_DEVICE, Finding, probe


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A hypervisor, why it is this one, and how its processes are kept apart from the host."""

    hypervisor: Hypervisor
    isolation: Isolation
    why: str
    """One sentence for a person."""


async def chosen_hypervisor(settings: Settings, kernel: Path | None) -> Chosen:
    """Choose: Cloud Hypervisor where it is installed and KVM works, else QEMU.

    :raises HostUnfit: nothing usable is installed, or not what the settings demand
    """
    settings.host_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    wish = settings.machine.hypervisor
    if wish == "qemu":
        return await _qemu(settings, kernel)
    cloud = CloudHypervisor(binary=settings.machine.cloud_hypervisor)
    try:
        build = await cloud.installed()
        kvm = await _kvm(settings, kernel)
        if kvm.accelerator != "kvm":
            raise HostUnfit(f"Cloud Hypervisor needs KVM, and {kvm.why}")
    except HostUnfit as error:
        if wish == "cloud-hypervisor":
            raise
        qemu = await _qemu(settings, kernel)
        return replace(qemu, why=f"{qemu.why}; {error}")
    apart = isolation(settings, kvm=True)
    cloud = CloudHypervisor(binary=settings.machine.cloud_hypervisor, network=apart.has_slots)
    why = f"Cloud Hypervisor {build}, and {kvm.why}"
    return Chosen(hypervisor=cloud, isolation=apart, why=why)


def isolation(settings: Settings, *, kvm: bool) -> Isolation:
    """How processes of machines are kept apart here. :param kvm: they run under it"""
    if not settings.machine.isolated:
        return Isolation(why_not="the settings don't want it")
    return Isolation.of(settings.machines_dir, uid_first=settings.machine.uid_first, kvm=kvm)


async def chosen_accelerator(settings: Settings, kernel: Path | None) -> Finding:
    """What QEMU's machines run under.

    :raises HostUnfit: QEMU is missing
    """
    chosen = settings.machine.accelerator
    if chosen != "auto":
        return _as_set(chosen)
    return await probe(qemu=settings.machine.qemu, cache=probe_cache(settings), kernel=kernel)


def probe_cache(settings: Settings) -> Path | None:
    """Where the probe's answer is remembered: nowhere before this host has its directory."""
    return settings.host_dir / "probe.json" if settings.host_dir.is_dir() else None


async def _qemu(settings: Settings, kernel: Path | None) -> Chosen:
    finding = await chosen_accelerator(settings, kernel)
    apart = isolation(settings, kvm=finding.accelerator == "kvm")
    qemu = Qemu(
        accelerator=finding.accelerator, binary=settings.machine.qemu, network=apart.has_slots
    )
    return Chosen(hypervisor=qemu, isolation=apart, why=finding.why)


async def _kvm(settings: Settings, kernel: Path | None) -> Finding:
    """Whether KVM works; without QEMU to try it with, that its device is there has to do."""
    try:
        return await chosen_accelerator(settings, kernel)
    except HostUnfit:
        if KVM_DEVICE.exists():
            return _as_set("kvm", why=f"{KVM_DEVICE} is there, not tried for lack of QEMU")
        return _as_set("tcg", why=f"there is no {KVM_DEVICE}")


def _as_set(accelerator: Literal["kvm", "tcg"], *, why: str = "the settings say so") -> Finding:
    return Finding(accelerator=accelerator, why=why, seconds=0.0, proven=False)
