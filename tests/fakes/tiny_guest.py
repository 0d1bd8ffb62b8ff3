"""A guest that boots in seconds: a Debian kernel and a busybox that answers on the channel.

It has nothing to do with the product's image, so that driver tests need none. Built once per
machine into the user's cache and keyed by what it is made of; safe to build twice at once.

The guest answers lines `<op> <nonce> [argument…]` with `<nonce> <result>`:

    echo TEXT · count (goes up ten times a second, in memory) · boot (the kernel's boot id)
    write NAME TEXT · read NAME (on the disk) · fill MIB · sum (of what fill left in memory)
    random BYTES (of the kernel's, in hex) · panic · reboot · off
"""

import asyncio
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.fakes.vsock_program import accept_program
from vmpool.driver import Image, MachineSpec

MODULES = (
    "virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "vmw_vsock_virtio_transport",
)  # fmt: skip
BUSYBOX = Path("/bin/busybox")
DISK_MIB = 16

INIT = r"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t tmpfs -o size=90% tmp /run
/bin/busybox --install -s /bin
export PATH=/bin
while read -r module; do insmod "/modules/$module"; done < /modules/order
until [ -b /dev/vda ]; do sleep 0.02; done
disk=/dev/vda
[ -b /dev/vdb ] && disk=/dev/vdb
mount -t ext4 $disk /disk
(n=0; while :; do n=$((n+1)); echo $n > /run/n.new; mv /run/n.new /run/n; sleep 0.1; done) &
until [ -f /run/n ]; do sleep 0.02; done
echo "tiny guest is up"
if grep -q 0x0013 /sys/bus/virtio/devices/*/device; then
  # A vsock device: one connection at a time, and no listener meanwhile.
  while :; do /accept; sleep 0.02; done
fi
port=
until [ -n "$port" ]; do
  for entry in /sys/class/virtio-ports/*; do
    [ "$(cat "$entry/name" 2>/dev/null)" = ona.0 ] && port=/dev/${entry##*/}
  done
  sleep 0.02
done
exec 0<>"$port" 1>&0
while :; do . /serve; sleep 0.02; done
"""

SERVE = r"""
export PATH=/bin
while read -r op nonce a b; do
  case "$op" in
    echo) r=$a ;;
    count) r=$(cat /run/n) ;;
    boot) r=$(cat /proc/sys/kernel/random/boot_id) ;;
    write) echo "$b" > "/disk/$a"; sync; r=ok ;;
    read) r=$(cat "/disk/$a") ;;
    fill) head -c "${a}m" /dev/urandom > /run/fill; r=ok ;;
    sum) r=$(md5sum < /run/fill) ;;
    noise) head -c "${a}m" /dev/zero | tr '\0' x; r=ok ;;
    random) r=$(head -c "$a" /dev/urandom | od -An -v -tx1 | tr -d ' \n') ;;
    panic) echo c > /proc/sysrq-trigger ;;
    reboot) reboot -f ;;
    off) poweroff -f ;;
    *) r=what ;;
  esac
  echo "$nonce $r"
done
"""


def tiny_spec(cache: Path, *, memory_mib: int = 128, vcpus: int = 1) -> MachineSpec:
    """Describe a machine made of the tiny guest, building it when it isn't in the cache."""
    return MachineSpec(image=tiny_image(cache), vcpus=vcpus, memory_mib=memory_mib, disk_gib=1)


def tiny_image(cache: Path) -> Image:
    """Build or find the tiny guest below `cache`."""
    parts = [INIT.encode(), SERVE.encode(), repr(MODULES).encode(), accept_program()]
    digest = hashlib.sha256(b"".join([*parts, BUSYBOX.read_bytes()])).hexdigest()[:16]
    final = cache / f"tiny-guest-{digest}"
    if not (final / "disk").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            built = Path(work) / "built"
            _build(built, _kernel_package(Path(work)))
            try:
                os.rename(built, final)
            except OSError:
                assert (final / "disk").exists()
    return Image(
        kernel=final / "kernel", initrd=final / "initrd", disk=final / "disk", digest=digest
    )


async def ask(sock: socket.socket, op: str, *args: str, seconds_max: float = 60) -> str:
    """Ask the tiny guest (or a fake that speaks like it) one thing; stale answers are skipped."""
    loop = asyncio.get_running_loop()
    nonce = secrets.token_hex(8)
    await loop.sock_sendall(sock, " ".join([op, nonce, *args]).encode() + b"\n")
    buffer = b""
    async with asyncio.timeout(seconds_max):
        while chunk := await loop.sock_recv(sock, 65536):
            buffer += chunk
            found = re.search(rf"{nonce} ?([^\n]*)\n".encode(), buffer)
            if found:
                return found.group(1).decode().strip()
    raise ConnectionError("the channel ended")


def _kernel_package(work: Path) -> Path:
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    assert package, "no cloud kernel among the package sources; run apt-get update"
    download = work / "download"
    download.mkdir()
    command = ["apt-get", "download", "-q", package.group(1)]
    subprocess.run(command, cwd=download, check=True, capture_output=True)
    subprocess.run(["dpkg", "-x", *download.glob("*.deb"), work / "kernel"], check=True)
    return work / "kernel"


def _build(into: Path, kernel: Path) -> None:
    into.mkdir()
    shutil.copy(next(kernel.glob("boot/vmlinuz-*")), into / "kernel")
    (into / "initrd").write_bytes(_initrd(kernel))
    disk = str(into / "disk")
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", disk, f"{DISK_MIB}M"]
    subprocess.run(command, check=True, env={**os.environ, "PATH": "/usr/sbin:/sbin:/usr/bin:/bin"})


def _initrd(kernel: Path) -> bytes:
    modules = list(dict.fromkeys(_with_dependencies(kernel, MODULES)))
    order = "".join(f"{module.name}\n" for module in modules).encode()
    entries = [
        *(_entry(name, 0o40755) for name in ("bin", "dev", "proc", "sys", "run", "disk")),
        _entry("dev/console", 0o20600, device=(5, 1)),
        _entry("bin/busybox", 0o100755, BUSYBOX.read_bytes()),
        _entry("init", 0o100755, INIT.encode()),
        _entry("serve", 0o100644, SERVE.encode()),
        _entry("accept", 0o100755, accept_program()),
        _entry("modules", 0o40755),
        _entry("modules/order", 0o100644, order),
        *(_entry(f"modules/{each.name}", 0o100644, each.read_bytes()) for each in modules),
        _entry("TRAILER!!!", 0),
    ]
    return b"".join(entries)


def _with_dependencies(kernel: Path, names: tuple[str, ...]) -> Iterator[Path]:
    files = {path.stem.replace("-", "_"): path for path in kernel.rglob("*.ko")}
    for name in names:
        path = files.get(name.replace("-", "_"))
        if path is None:
            continue  # built in
        found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
        needed = found.group(1).decode().split(",") if found else []
        yield from _with_dependencies(kernel, tuple(filter(None, needed)))
        yield path


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    spelled = name.encode() + b"\0"
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(spelled), 0]
    head = b"070701" + b"".join(b"%08X" % number for number in numbers) + spelled
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
