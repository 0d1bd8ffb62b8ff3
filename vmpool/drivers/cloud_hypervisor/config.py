"""A machine as Cloud Hypervisor is told of it, and its snapshot made fit for a resume. Pure.

Every device has an id of ours, because ids are what ties a snapshot's state to its configuration.
Every path is one in the cell or beside the image, as the process names them: so all machines of a
template have the same.

A snapshot's directory holds `config.json`, `state.json` and, of a memory that is in no file of its
own, the memory. A restore is told which file to lay its zone over and that nothing is to be
copied: it maps pages when they are touched and takes the same time whatever the memory's size.

What a restore would silently accept is refused here: see `verify`.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vmpool.driver import MachineSpec
from vmpool.drivers.home import DISK, IMAGE_REACH, OWN, REACH
from vmpool.network import slot
from vmpool.rest import MEMORY

MIB = 1 << 20
FORMAT = 2
"""Increase when `config` changes in a way that an older snapshot can't be resumed with."""
ZONE = "mem0"
WRITABLE = "disk"
CHANNEL_PORT = 1024
CONFIG = "config.json"
STATE = "state.json"
VSOCK = f"{OWN}/vsock.sock"
MAPPED = "mapped-memory"
"""The memory of a rest in the cell, where it is mapped copy-on-write."""
CMDLINE = "console=ttyS0 quiet panic=-1 random.trust_cpu=on ona.overlay"

Json = dict[str, Any]


def config(spec: MachineSpec, *, network: bool) -> Json:
    """Spell a machine that boots from its image, its memory a file of its own."""
    size = spec.memory_mib * MIB
    zone = {"id": ZONE, "size": size, "file": f"{REACH}/{MEMORY}", "shared": True}
    made = {
        "cpus": {"boot_vcpus": spec.vcpus, "max_vcpus": spec.vcpus},
        "memory": {"size": 0, "zones": [zone]},
        "payload": {
            "kernel": _of_image(spec.image.kernel),
            "initramfs": _of_image(spec.image.initrd),
            "cmdline": CMDLINE,
        },
        "disks": [
            {
                "id": "base",
                "path": _of_image(spec.image.disk),
                "readonly": True,
                "image_type": "Raw",
            },
            {"id": WRITABLE, "path": f"{REACH}/{DISK}", "image_type": "Raw"},
        ],
        "vsock": {"id": "vsock0", "cid": 3, "socket": f"{REACH}/{VSOCK}"},
        "rng": {"id": "rng0", "src": "/dev/urandom"},
        # Standard output: appended to, so that it can be cut, and kept over a resume.
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off"},
        "pvpanic": True,
    }
    card = {"id": "net0", "tap": slot.TAP, "mac": slot.GUEST_MAC}
    return {**made, "net": [card]} if network else made


def fingerprint(spec: MachineSpec, *, network: bool, host_cpu: str, kernel: str) -> str:
    """Digest what a snapshot depends on beside the hypervisor's build."""
    parts = [
        FORMAT, CMDLINE, spec.image.digest, spec.vcpus, spec.memory_mib, spec.disk_gib,
        network, host_cpu, kernel,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def written_bytes(state: Json) -> int:
    """How much memory a snapshot wrote; 0: the machine's lies in a file of its own.

    :raises ValueError, KeyError, TypeError: the state is not shaped as we know it
    """
    return sum(each["length"] for each in _manager(state)["memory_ranges"]["data"])


def nothing_to_copy(state: Json) -> Json:
    """Rewrite a snapshot's state so that a restore takes its memory as it lies.

    :raises ValueError, KeyError: the state is not shaped as we know it
    """
    return _with_manager(state, {**_manager(state), "memory_ranges": {"data": []}})


def placed(found: Json, *, memory: str | None, shared: bool) -> Json:
    """Rewrite a snapshot's configuration for how its memory is restored.

    :param memory: the name in the cell of what it is mapped from; None: it is in no file
    :param shared: what the guest writes goes into that file
    """
    (zone,) = found["memory"]["zones"]
    bare = {key: value for key, value in zone.items() if key not in {"file", "shared"}}
    file = {} if memory is None else {"file": f"{REACH}/{memory}", "shared": shared}
    return {**found, "memory": {**found["memory"], "zones": [bare | file]}}


def verify(found: Json, spec: MachineSpec, *, network: bool) -> str | None:
    """Say why a snapshot must not be restored for this machine, or None. `found`: what it says.

    What is restored is spelled anew, so that nothing else in it has any effect; but its state is
    of the devices that it names. A real one restores it all the same, and the guest then hangs on
    a device that isn't there, or has another size than everybody says.
    """
    try:
        return next(_differences(found, config(spec, network=network)), None)
    except (AttributeError, KeyError, TypeError):
        return "its snapshot describes no machine"


def _differences(found: Json, wanted: Json) -> Iterator[str]:
    for name, keys in _SAID.items():
        if _devices(found.get(name), keys) != _devices(wanted.get(name), keys):
            yield f"its snapshot has {_WORDS[name]}"
    memory = found["memory"]
    zones = [{**zone, "shared": False} for zone in memory["zones"]]
    if any(each.get(key) for each in (memory, *zones) for key in _KINDS_OF_MEMORY):
        yield "its snapshot has another kind of memory"
    if _devices(zones, _ZONE) != _devices(wanted["memory"]["zones"], _ZONE):
        yield "its snapshot has another memory size"
    if bool(found.get("pvpanic")) != wanted["pvpanic"]:
        yield "its snapshot has another panic device"
    if any((found.get(name) or {}).get("mode", "Off") != "Off" for name in _CONSOLES):
        yield "its snapshot has a console that we don't give"
    known = {*wanted, *_SAID, *_CONSOLES}
    if others := sorted(name for name, said in found.items() if said and name not in known):
        yield f"its snapshot has what we don't give: {', '.join(others)}"


_SAID = {
    "cpus": ("boot_vcpus", "max_vcpus"),
    "payload": ("kernel", "initramfs", "cmdline"),
    "disks": ("id", "path", "readonly"),
    "net": ("id", "tap", "mac"),
    "vsock": ("id", "cid", "socket"),
    "rng": ("id", "src"),
}
"""What is compared of each part; the rest of it are the process's own defaults."""
_WORDS = {
    "cpus": "another number of virtual CPUs",
    "payload": "another kernel",
    "disks": "other disks",
    "net": "another network device",
    "vsock": "another channel",
    "rng": "another source of random numbers",
}
_ZONE = ("id", "size")
_KINDS_OF_MEMORY = ("hotplug_size", "hugepages", "mergeable", "prefault", "shared")
_CONSOLES = ("console", "debug_console")


def _devices(found: Any, keys: tuple[str, ...]) -> list[list[Any]]:
    each = found if isinstance(found, list) else [found] if found else []
    # A key that is left out is false: a disk is then written to.
    return [[one.get(key) or False for key in keys] for one in each]


def _of_image(path: Path) -> str:
    return f"{IMAGE_REACH}/{path.name}"


def _manager(state: Json) -> Json:
    node = state["snapshots"]["memory-manager"]["snapshot_data"]
    found = json.loads(node["state"])
    if not isinstance(found, dict):
        raise ValueError("the snapshot's memory is not described")
    return found


def _with_manager(state: Json, manager: Json) -> Json:
    nodes = state["snapshots"]
    node = nodes["memory-manager"]
    data = {**node["snapshot_data"], "state": json.dumps(manager)}
    return {**state, "snapshots": {**nodes, "memory-manager": {**node, "snapshot_data": data}}}
