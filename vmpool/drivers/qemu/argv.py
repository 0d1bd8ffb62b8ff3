"""QEMU's command line, as a pure function of what a machine is.

`shape` is what the guest can see: it goes into the fingerprint that a rest must match. `argv` adds
what only the host sees: paths, descriptors, the sandbox. No network device of any kind is there.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

from vmpool.driver import MachineSpec
from vmpool.drivers.home import Home

Accelerator = Literal["kvm", "tcg"]

FORMAT = 1
"""Increase when `shape` changes in a way that an older rest can't be loaded into."""

LOG_OPTION = "-D"
QMP_FD = 3
CHANNEL_FD = 4

CHANNEL_PORT = "ona.0"
CMDLINE = "console=ttyS0 quiet panic=-1 root=/dev/vda rootfstype=ext4 rw random.trust_cpu=on"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def shape(spec: MachineSpec, accelerator: Accelerator) -> list[str]:
    """Spell the part of the command line that decides what the guest sees."""
    engine = {
        "tcg": ["-accel", "tcg,thread=multi", "-cpu", "max"],
        "kvm": ["-accel", "kvm", "-cpu", "host"],
    }[accelerator]
    return [
        "-machine", "q35,vmport=off",
        *engine,
        "-smp", str(spec.vcpus),
        "-m", f"{spec.memory_mib}M",
        "-append", CMDLINE,
        "-device", "virtio-blk-pci,id=disk0,drive=disk",
        "-device", "virtio-serial-pci,id=serial0,max_ports=2",
        "-device", f"virtserialport,id=ona0,bus=serial0.0,nr=1,chardev=ona,name={CHANNEL_PORT}",
        "-device", "virtio-rng-pci,id=rng0,rng=entropy",
    ]  # fmt: skip


def fingerprint(spec: MachineSpec, accelerator: Accelerator, *, host_cpu: str) -> str:
    """Digest what a rest depends on; `host_cpu` counts only where the guest sees that CPU."""
    parts = [
        FORMAT,
        shape(spec, accelerator),
        spec.image.digest,
        spec.disk_gib,
        host_cpu if accelerator == "kvm" else "",
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def argv(
    spec: MachineSpec,
    *,
    binary: str,
    home: Home,
    accelerator: Accelerator,
    sandbox: bool,
    incoming: bool,
) -> list[str]:
    """Build the whole command line.

    The control and channel sockets are inherited as listening descriptors QMP_FD and CHANNEL_FD;
    with `incoming` nothing runs until memory was loaded over QMP, and `cont`.
    """
    return [
        binary,
        "-name", home.machine_id,
        # Also how a process of ours is recognised when its record was never written.
        LOG_OPTION, str(home.log),
        "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
        *(["-sandbox", SANDBOX] if sandbox else []),
        *shape(spec, accelerator),
        "-kernel", str(spec.image.kernel),
        "-initrd", str(spec.image.initrd),
        "-blockdev", json.dumps(_disk(home, spec.image.disk)),
        "-object", "rng-random,id=entropy,filename=/dev/urandom",
        "-chardev", f"file,id=console,path={_escaped(home.console)},append=on",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=ona,fd={CHANNEL_FD},server=on,wait=off",
        "-chardev", f"socket,id=qmp,fd={QMP_FD},server=on,wait=off",
        "-mon", "chardev=qmp,mode=control",
        *(["-incoming", "defer"] if incoming else []),
    ]  # fmt: skip


def _disk(home: Home, image: Path) -> dict[str, object]:
    base: dict[str, object] = {
        "driver": "raw",
        "read-only": True,
        "file": {"driver": "file", "filename": str(image), "read-only": True},
    }
    if home.base.exists():
        base = {
            "driver": "qcow2",
            "read-only": True,
            "file": {"driver": "file", "filename": str(home.base), "read-only": True},
            "backing": base,
        }
    # Flushes of the guest stop at the page cache: what runs when the power goes is lost with its
    # memory anyway, and a rest is fsynced before it counts as durable.
    cache = {"no-flush": True}
    return {
        "driver": "qcow2",
        "node-name": "disk",
        "cache": cache,
        "discard": "unmap",
        "detect-zeroes": "unmap",
        "file": {"driver": "file", "filename": str(home.disk), "cache": cache, "discard": "unmap"},
        "backing": base,
    }


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")
