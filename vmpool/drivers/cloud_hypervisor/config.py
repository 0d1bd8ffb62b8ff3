"""A machine as Cloud Hypervisor is told of it, and its snapshot made fit for a resume. Pure.

Every device has an id of ours, because ids are what ties a snapshot's state to its configuration.
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
from vmpool.drivers.home import Home

MIB = 1 << 20
FORMAT = 1
"""Increase when `config` changes in a way that an older snapshot can't be resumed with."""
ZONE = "mem0"
WRITABLE = "disk"
CHANNEL_PORT = 1024
CONFIG = "config.json"
STATE = "state.json"
HOME_FD = 4
"""The machine's directory in its process: any path below it is short enough for a socket."""
VSOCK = "vsock.sock"
CMDLINE = "console=ttyS0 quiet panic=-1 random.trust_cpu=on ona.overlay"

Json = dict[str, Any]


def config(spec: MachineSpec, home: Home) -> Json:
    """Spell a machine that boots from its image, its memory a file of its own."""
    size = spec.memory_mib * MIB
    zone = {"id": ZONE, "size": size, "file": str(home.memory), "shared": True}
    return {
        "cpus": {"boot_vcpus": spec.vcpus, "max_vcpus": spec.vcpus},
        "memory": {"size": 0, "zones": [zone]},
        "payload": {
            "kernel": str(spec.image.kernel),
            "initramfs": str(spec.image.initrd),
            "cmdline": CMDLINE,
        },
        "disks": [
            {"id": "base", "path": str(spec.image.disk), "readonly": True, "image_type": "Raw"},
            {"id": WRITABLE, "path": str(home.disk), "image_type": "Raw"},
        ],
        "vsock": {"id": "vsock0", "cid": 3, "socket": f"/proc/self/fd/{HOME_FD}/{VSOCK}"},
        "rng": {"id": "rng0", "src": "/dev/urandom"},
        # Standard output: appended to, so that it can be cut, and kept over a resume.
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off"},
        "pvpanic": True,
    }


def fingerprint(spec: MachineSpec, *, host_cpu: str, kernel: str) -> str:
    """Digest what a snapshot depends on beside the hypervisor's build."""
    parts = [
        FORMAT, CMDLINE, spec.image.digest, spec.vcpus, spec.memory_mib, spec.disk_gib,
        host_cpu, kernel,
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


def placed(found: Json, *, home: Home, memory: Path | None, shared: bool) -> Json:
    """Rewrite a snapshot's configuration for where it is restored.

    :param memory: what its memory is mapped from; None: it is in no file
    :param shared: what the guest writes goes into that file
    """
    (zone,) = found["memory"]["zones"]
    bare = {key: value for key, value in zone.items() if key not in {"file", "shared"}}
    file = {} if memory is None else {"file": str(memory), "shared": shared}
    disks = [
        {**each, "path": str(home.disk)} if each["id"] == WRITABLE else each
        for each in found["disks"]
    ]
    return {**found, "memory": {**found["memory"], "zones": [bare | file]}, "disks": disks}


def verify(found: Json, spec: MachineSpec, home: Home) -> str | None:
    """Say why a configuration must not be restored for this machine, or None.

    A real one restores it all the same, and the guest then hangs on a disk that isn't there, or
    has another size than everybody says.
    """
    return next(_differences(found, config(spec, home)), None)


def _differences(found: Json, wanted: Json) -> Iterator[str]:
    cpus = found.get("cpus", {})
    if any(cpus.get(key) != value for key, value in wanted["cpus"].items()):
        yield "its snapshot has another number of virtual CPUs"
    zones = found.get("memory", {}).get("zones") or []
    if [(zone.get("id"), zone.get("size")) for zone in zones] != [
        (zone["id"], zone["size"]) for zone in wanted["memory"]["zones"]
    ]:
        yield "its snapshot has another memory size"
    if _disks(found) != _disks(wanted):
        yield "its snapshot has other disks"
    if (found.get("vsock") or {}).get("socket") != wanted["vsock"]["socket"]:
        yield "its snapshot has another channel"


def _disks(found: Json) -> list[tuple[Any, Any]]:
    """Which disks there are; where the writable one lies is said at the restore."""
    disks = found.get("disks") or []
    return [(each.get("id"), each.get("id") == WRITABLE or each.get("path")) for each in disks]


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
