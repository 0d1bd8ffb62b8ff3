"""QEMU's command line, as a pure function of what a machine is.

`shape` is what the guest can see: it goes into the fingerprint that a rest must match. `argv` adds
what only the host sees: paths, descriptors, the sandbox. Every path is one in the cell or beside
the image, as the process names them. The only network device is the one of its seat's slot.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

from vmpool.driver import MachineSpec
from vmpool.drivers.home import BASE, DISK, IMAGE_REACH, REACH
from vmpool.network import slot

Accelerator = Literal["kvm", "tcg"]

FORMAT = 2
"""Increase when `shape` changes in a way that an older rest can't be loaded into."""

QMP_FD, CHANNEL_FD, CONSOLE_FD, TAP_FD = 3, 6, 7, 8
"""Descriptors of the process, beside those of cell and image."""

CHANNEL_PORT = "ona.0"
CMDLINE = "console=ttyS0 quiet panic=-1 root=/dev/vda rootfstype=ext4 rw random.trust_cpu=on"
CARD = f"virtio-net-pci,id=net0,netdev=slot,mac={slot.GUEST_MAC},romfile="
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


def shape(spec: MachineSpec, accelerator: Accelerator, *, network: bool) -> list[str]:
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
        *(["-device", CARD] if network else []),
    ]  # fmt: skip


def fingerprint(
    spec: MachineSpec, accelerator: Accelerator, *, network: bool, host_cpu: str, kernel: str
) -> str:
    """Digest what a rest depends on.

    The host's CPU and kernel count only where they run the guest: emulated, it sees neither.
    """
    parts = [
        FORMAT,
        shape(spec, accelerator, network=network),
        spec.image.digest,
        spec.disk_gib,
        [host_cpu, kernel] if accelerator == "kvm" else [],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def argv(
    spec: MachineSpec,
    *,
    binary: str,
    name: str,
    accelerator: Accelerator,
    network: bool,
    sandbox: bool,
    cloned: bool,
    incoming: bool,
) -> list[str]:
    """Build the whole command line.

    With `incoming` nothing runs until memory was loaded over QMP, and `cont`.

    :param name: the machine's, for people who list processes
    :param cloned: its disk lies on its template's, and that on the image's
    """
    return [
        binary,
        "-name", name,
        "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
        *(["-sandbox", SANDBOX] if sandbox else []),
        *shape(spec, accelerator, network=network),
        "-kernel", _of_image(spec.image.kernel),
        "-initrd", _of_image(spec.image.initrd),
        "-blockdev", json.dumps(_disk(spec.image.disk, cloned=cloned)),
        "-object", "rng-random,id=entropy,filename=/dev/urandom",
        *(["-netdev", f"tap,id=slot,fd={TAP_FD}"] if network else []),
        "-add-fd", f"fd={CONSOLE_FD},set=1",
        "-chardev", "file,id=console,path=/dev/fdset/1,append=on",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=ona,fd={CHANNEL_FD},server=on,wait=off",
        "-chardev", f"socket,id=qmp,fd={QMP_FD},server=on,wait=off",
        "-mon", "chardev=qmp,mode=control",
        *(["-incoming", "defer"] if incoming else []),
    ]  # fmt: skip


def _disk(image: Path, *, cloned: bool) -> dict[str, object]:
    base: dict[str, object] = {
        "driver": "raw",
        "read-only": True,
        "file": {"driver": "file", "filename": _of_image(image), "read-only": True},
    }
    if cloned:
        base = {
            "driver": "qcow2",
            "read-only": True,
            "file": {"driver": "file", "filename": f"{REACH}/{BASE}", "read-only": True},
            "backing": base,
        }
    # Flushes of the guest stop at the page cache: what runs when the power goes is lost with its
    # memory anyway, and a rest is fsynced before it counts as durable.
    cache = {"no-flush": True}
    own = {"driver": "file", "filename": f"{REACH}/{DISK}", "cache": cache, "discard": "unmap"}
    return {
        "driver": "qcow2",
        "node-name": "disk",
        "cache": cache,
        "discard": "unmap",
        "detect-zeroes": "unmap",
        "file": own,
        "backing": base,
    }


def _of_image(path: Path) -> str:
    return f"{IMAGE_REACH}/{path.name}"
