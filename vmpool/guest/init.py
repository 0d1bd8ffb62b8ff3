"""What systemd and udev would do, as far as a machine of ours needs it; only for PID 1."""

import ctypes
import fcntl
import os
import resource
import socket
import struct

from vmpool.guest.loop import Loop, report
from vmpool.guest.spawn import PATH, PROXY, Cannot, spawn

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
SIOCSIFNETMASK = 0x891C
SIOCADDRT = 0x890B
IFF_UP = 1
RTF_UP_GATEWAY = 3
RTENTRY_BYTES = 120
LOOPBACK, CARD = "lo", "eth0"
ADDRESS, NETMASK, GATEWAY = "172.16.0.2", "255.255.255.252", "172.16.0.1"
PROXY_PORT = 8080
NAMES, NAMES_NETMASK = "198.19.255.254", "255.254.0.0"
"""As vmpool.network.slot has them, the same for every machine."""
FILES_SOFT = 65536
FILES_HARD = 524288

MOUNTS = (
    ("proc", "/proc", "proc", ""),
    ("sysfs", "/sys", "sysfs", ""),
    ("devtmpfs", "/dev", "devtmpfs", "mode=0755"),
    ("devpts", "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "tmpfs", "mode=1777"),
    ("tmpfs", "/run", "tmpfs", "mode=0755"),
    # Without the option, to start something in a cgroup waits for an RCU grace period.
    ("cgroup2", "/sys/fs/cgroup", "cgroup2", "favordynmods"),
)
LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
)
KERNEL = (
    ("/proc/sys/fs/inotify/max_user_watches", "524288"),
    ("/proc/sys/fs/inotify/max_user_instances", "1024"),
)


def begin() -> None:
    """Mount, link, raise limits, bring the loopback up. :raises OSError: a mount is impossible."""
    libc = ctypes.CDLL(None, use_errno=True)
    for source, target, kind, options in MOUNTS:
        mount(libc, source, target, kind, options)
    for target, link in LINKS:
        if not os.path.lexists(link):
            os.symlink(target, link)
    for path, value in KERNEL:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    # On the disk, not in memory: a machine has less of that, and a rest holds all of it.
    os.chmod("/tmp", 0o1777)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_SOFT, FILES_HARD))
    os.environ.clear()
    os.environ["PATH"] = PATH
    interface_up(LOOPBACK)
    if os.path.exists(f"/sys/class/net/{CARD}"):
        card_up()
    else:
        stand_in_up()


def mount(libc: ctypes.CDLL, source: str, target: str, kind: str, options: str) -> None:
    """Mount unless something is mounted there already."""
    os.makedirs(target, exist_ok=True)
    if os.path.ismount(target):
        return
    words = [word.encode() for word in (source, target, kind, options)]
    if libc.mount(words[0], words[1], words[2], 0, words[3]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {kind} on {target}: {os.strerror(code)}")


def interface_up(name: str) -> None:
    """Let a network device work."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", name.encode(), 0)
        answer = fcntl.ioctl(sock, SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags | IFF_UP))


def card_up() -> None:
    """The machine's network: one address beside it, through which everything goes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _name(sock, CARD, ADDRESS, NETMASK)
        interface_up(CARD)
        # struct rtentry of linux/route.h: destination, gateway and mask, both zero, then flags.
        nowhere = _address("0.0.0.0")
        route = struct.pack("L16s16s16sH", 0, nowhere, _address(GATEWAY), nowhere, RTF_UP_GATEWAY)
        fcntl.ioctl(sock, SIOCADDRT, route.ljust(RTENTRY_BYTES, b"\0"))
    _found_at("edns0")


def stand_in_up() -> None:
    """Without a network device the loopback has the addresses that lie behind one elsewhere.

    Whoever holds the machine's channel listens there through it, for the gateway. No datagram
    gets through a channel, so the resolver is asked by streams.
    """
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w", encoding="ascii") as file:
        file.write("0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        _name(sock, f"{LOOPBACK}:0", GATEWAY, "255.255.255.255")
        # Of a loopback every address of the range is its own.
        _name(sock, f"{LOOPBACK}:1", NAMES, NAMES_NETMASK)
    _found_at("edns0 use-vc")


def _name(sock: socket.socket, device: str, address: str, netmask: str) -> None:
    for what, one in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
        fcntl.ioctl(sock, what, struct.pack("16s16s8x", device.encode(), _address(one)))


def _found_at(resolver_options: str) -> None:
    """Tell programs of the gateway."""
    with open("/etc/resolv.conf", "w", encoding="ascii") as file:
        file.write(f"nameserver {GATEWAY}\noptions {resolver_options}\n")
    os.environ[PROXY] = f"http://{GATEWAY}:{PROXY_PORT}"


def _address(dotted: str) -> bytes:
    """A struct sockaddr_in."""
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(dotted))


def grow_root(loop: Loop) -> None:
    """Let the root file system fill its disk, in the background; nothing to do: nothing done."""
    device = root_device()
    if device is None:
        return
    with open(f"/sys/class/block/{device}/size", encoding="ascii") as file:
        disk_bytes = int(file.read()) * 512
    here = os.statvfs("/")
    if here.f_blocks * here.f_frsize > disk_bytes * 0.9:
        return
    try:
        pid = spawn(
            ["resize2fs", f"/dev/{device}"],
            env={"PATH": PATH},
            cwd="/",
            user=None,
            stdin=0,
            stdout=1,
            stderr=2,
        )
    except Cannot as error:
        report(f"the disk is not grown: {error}")
        return
    loop.child(pid, lambda status: report(f"disk grown, status {status}") if status else None)


def root_device() -> str | None:
    """The kernel's name of the disk that / lies on."""
    number = os.stat("/").st_dev
    path = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else None
