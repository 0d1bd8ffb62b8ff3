"""A machine as Cloud Hypervisor is told of it, and what a snapshot may say that it was told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmpool.driver import Image, MachineSpec
from vmpool.drivers.cloud_hypervisor.config import MIB, config, fingerprint, verify

IMAGE = Image(kernel=Path("/i/k"), initrd=Path("/i/r"), disk=Path("/i/d"), digest="d1")
SPEC = MachineSpec(image=IMAGE, vcpus=2, memory_mib=512, disk_gib=8)

Json = dict[str, Any]


def test_every_device_has_an_id() -> None:
    made = config(SPEC, network=True)
    named = [*made["disks"], *made["memory"]["zones"], *made["net"], made["vsock"], made["rng"]]
    assert all(each["id"] for each in named)


def test_the_only_network_device_is_that_of_the_slot() -> None:
    assert "net" not in config(SPEC, network=False)
    [card] = config(SPEC, network=True)["net"]
    assert (card["tap"], card["mac"]) == ("tap0", "02:00:00:00:00:02")


def test_the_image_is_read_only_and_the_disk_is_the_machines() -> None:
    base, disk = config(SPEC, network=False)["disks"]
    assert (base["path"], base["readonly"]) == ("/proc/self/fd/5/d", True)
    assert (disk["path"], disk.get("readonly", False)) == ("/proc/self/fd/4/disk", False)


def mark(spec: MachineSpec = SPEC, **other: Any) -> str:
    return fingerprint(spec, **{"network": True, "host_cpu": "c1", "kernel": "k1", **other})


def test_fingerprints_tell_machines_and_hosts_apart() -> None:
    others = [
        replace(SPEC, vcpus=1),
        replace(SPEC, memory_mib=1024),
        replace(SPEC, disk_gib=9),
        replace(SPEC, image=replace(IMAGE, digest="d2")),
    ]
    marks = {mark(), mark(host_cpu="c2"), mark(kernel="k2"), mark(network=False)}
    assert len(marks | {mark(other) for other in others}) == 8


# -- of a snapshot


def _put(*path: str | int, value: Any) -> Callable[[Json], None]:
    """Change one value, which may not have been there."""

    def change(found: Json) -> None:
        place: Any = found
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def _without(*path: str | int) -> Callable[[Json], None]:
    """Remove one value."""

    def change(found: Json) -> None:
        place: Any = found
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


def _second(kind: str) -> Callable[[Json], None]:
    """Add one device more."""
    return lambda found: found[kind].append({**found[kind][-1], "id": "more"})


OTHER_CPUS, OTHER_KERNEL = "another number of virtual CPUs", "another kernel"
OTHER_SIZE, OTHER_MEMORY = "another memory size", "another kind of memory"
OTHER_RANDOM, OTHER_CHANNEL = "another source of random numbers", "another channel"
NO_MACHINE, NOT_OURS = "describes no machine", "what we don't give"
ZONE = ("memory", "zones", 0)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_put("cpus", "boot_vcpus", value=4), OTHER_CPUS),
        (_put("cpus", "max_vcpus", value=4), OTHER_CPUS),
        (_without("cpus"), OTHER_CPUS),
        (_put(*ZONE, "size", value=256 * MIB), OTHER_SIZE),
        (_put(*ZONE, "id", value="other"), OTHER_SIZE),
        (_put("memory", "zones", value=[]), OTHER_SIZE),
        (lambda found: found["memory"]["zones"].append(found["memory"]["zones"][0]), OTHER_SIZE),
        (_put(*ZONE, "hugepages", value=True), OTHER_MEMORY),
        (_put(*ZONE, "mergeable", value=True), OTHER_MEMORY),
        (_put(*ZONE, "prefault", value=True), OTHER_MEMORY),
        (_put(*ZONE, "hotplug_size", value=MIB), OTHER_MEMORY),
        (_put("memory", "hugepages", value=True), OTHER_MEMORY),
        (_put("memory", "shared", value=True), OTHER_MEMORY),
        (_put("memory", "hotplug_size", value=MIB), OTHER_MEMORY),
        (_without("memory"), NO_MACHINE),
        (_put("memory", "zones", value=7), NO_MACHINE),
        (_put("payload", "kernel", value="/another/kernel"), OTHER_KERNEL),
        (_put("payload", "initramfs", value=None), OTHER_KERNEL),
        (_put("payload", "cmdline", value="init=/bin/sh"), OTHER_KERNEL),
        (lambda found: found["disks"].pop(), "other disks"),
        (lambda found: found["disks"].reverse(), "other disks"),
        (_second("disks"), "other disks"),
        (_put("disks", 1, "id", value="other"), "other disks"),
        (_put("disks", 0, "path", value="/another/image"), "other disks"),
        (_put("disks", 1, "path", value="/dev/null"), "other disks"),
        (_put("disks", 0, "readonly", value=False), "other disks"),
        (_without("disks", 0, "readonly"), "other disks"),
        (_put("disks", 1, "readonly", value=True), "other disks"),
        (_put("disks", value=[7]), NO_MACHINE),
        (_without("net"), "network device"),
        (_second("net"), "network device"),
        (_put("net", 0, "tap", value="tap1"), "network device"),
        (_put("net", 0, "id", value="net1"), "network device"),
        (_put("net", 0, "mac", value="02:00:00:00:00:03"), "network device"),
        (_without("vsock"), OTHER_CHANNEL),
        (_put("vsock", "cid", value=4), OTHER_CHANNEL),
        (_put("vsock", "id", value="vsock1"), OTHER_CHANNEL),
        (_put("vsock", "socket", value="/another/socket"), OTHER_CHANNEL),
        (_without("rng"), OTHER_RANDOM),
        (_put("rng", "src", value="/dev/zero"), OTHER_RANDOM),
        (_without("pvpanic"), "panic device"),
        (_put("console", "mode", value="Tty"), "console"),
        (_put("debug_console", value={"mode": "File", "file": "/x"}), "console"),
        (_put("pmem", value=[{"id": "pmem0", "file": "/x"}]), f"{NOT_OURS}: pmem"),
        (_put("fs", value=[{"id": "fs0"}]), f"{NOT_OURS}: fs"),
        (_put("devices", value=[{"id": "vfio0"}]), f"{NOT_OURS}: devices"),
        (_put("watchdog", value=True), f"{NOT_OURS}: watchdog"),
        (_put("of_tomorrow", value={"a": 1}), f"{NOT_OURS}: of_tomorrow"),
    ],
)
def test_what_a_real_one_would_accept_is_refused(spoil: Callable[[Json], None], words: str) -> None:
    found = config(SPEC, network=True)
    assert verify(found, SPEC, network=True) is None
    spoil(found)
    assert words in (verify(found, SPEC, network=True) or "")


def test_a_network_device_that_nobody_gave_is_refused() -> None:
    found = config(SPEC, network=True)
    assert "network device" in (verify(found, SPEC, network=False) or "")
    found["net"] = []
    assert verify(found, SPEC, network=False) is None


def test_what_a_real_one_says_of_a_machine_of_ours_is_accepted() -> None:
    """Its defaults, as they were recorded from a snapshot."""
    found = config(SPEC, network=True)
    found["cpus"] |= {"kvm_hyperv": False, "max_phys_bits": 46, "nested": True, "profile": "Host"}
    found["memory"] |= {"hotplug_method": "Acpi", "reserve": False, "thp": True, "prefault": False}
    found["memory"]["zones"][0] |= {"hugepages": False, "mergeable": False, "shared": False}
    for disk in found["disks"]:
        disk |= {"num_queues": 1, "sparse": True, "readonly": disk.get("readonly", False)}
    found["net"][0] |= {"num_queues": 2, "vhost_mode": "Client", "offload_tso": True}
    found["rng"] |= {"pci_segment": 0}
    found["console"] |= {"pci_segment": 0}
    found |= {"debug_console": {"mode": "Off", "iobase": 233}, "serial": {"mode": "Tty"}}
    found |= {"iommu": False, "watchdog": False, "landlock_enable": False, "pmem": None}
    assert verify(found, SPEC, network=True) is None
