"""What must be new before anything runs after a boot or a restore: clock, entropy, identity."""

import base64
import contextlib
import fcntl
import os
import re
import socket
import struct
import time
from typing import Any

from vmpool.guest.settings import Settings

RNDADDENTROPY = 0x40085203
RNDRESEEDCRNG = 0x5207
ENTROPY_BYTES_MIN = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
MACHINE_ID_HEX = 32
ETC = "/etc"


def thaw(word: dict[str, Any], settings: Settings) -> None:
    """Apply all of it. :raises Exception: something failed; the host must destroy the machine."""
    identity = word["identity"]
    if settings.owns_machine:
        set_clock(float(word["time"]), settings)
        add_entropy(base64.b64decode(word["entropy"], validate=True))
        name_machine(str(identity["hostname"]), str(identity["machine"]))
    write_identity(identity, settings)


def set_clock(seconds: float, settings: Settings) -> None:
    """Step the clock to this moment, if it is ours to set."""
    if settings.owns_machine:
        time.clock_settime(time.CLOCK_REALTIME, seconds)


def add_entropy(data: bytes) -> None:
    """Mix the host's bytes in and reseed now: two clones must not continue the same stream."""
    if len(data) < ENTROPY_BYTES_MIN:
        raise ValueError(f"fewer than {ENTROPY_BYTES_MIN} bytes of entropy")
    packed = struct.pack("ii", len(data) * 8, len(data)) + data
    fd = os.open("/dev/random", os.O_WRONLY)
    try:
        fcntl.ioctl(fd, RNDADDENTROPY, packed)
        fcntl.ioctl(fd, RNDRESEEDCRNG)
    finally:
        os.close(fd)


def name_machine(hostname: str, machine: str) -> None:
    """Set host name and machine id, in the kernel and in the files that programs read."""
    if not NAME.fullmatch(hostname):
        raise ValueError("not a host name")
    socket.sethostname(hostname)
    _write(f"{ETC}/hostname", hostname + "\n", 0o644)
    _write(f"{ETC}/hosts", f"127.0.0.1 localhost {hostname}\n::1 localhost\n", 0o644)
    digits = machine.replace("-", "").lower()
    if re.fullmatch(rf"[0-9a-f]{{{MACHINE_ID_HEX}}}", digits):
        _write(f"{ETC}/machine-id", digits + "\n", 0o644)


def write_identity(identity: dict[str, Any], settings: Settings) -> None:
    """Lay host key, certificate, user CA and principals where sshd looks, in tmpfs."""
    machine = str(identity["machine"])
    if not NAME.fullmatch(machine):
        raise ValueError("not a machine id")
    certificate, user_ca = (
        _line(identity["host_certificate"]),
        _line(identity["user_ca"]),
    )
    os.makedirs(settings.run_path("principals"), mode=0o755, exist_ok=True)
    _write(settings.run_path("host_key"), str(identity["host_key"]), 0o600)
    _write(settings.run_path("host_key-cert.pub"), certificate, 0o644)
    _write(settings.run_path("user_ca.pub"), user_ca, 0o644)
    principals: dict[str, list[str]] = {}
    for user, principal in (
        (settings.control_user, f"{machine}:control"),
        (settings.agent_user, machine),
        ("root", f"{machine}:root"),
    ):
        principals.setdefault(user, []).append(principal)
    for user, names in principals.items():
        _write(settings.run_path("principals", user), "\n".join(names) + "\n", 0o644)


def renew_certificate(certificate: str, settings: Settings) -> None:
    """Lay a newer certificate beside the host key that is there."""
    _write(settings.run_path("host_key-cert.pub"), _line(certificate), 0o644)


def drop_identity(settings: Settings) -> None:
    """Remove what must not lie in a resting machine's memory; idempotent."""
    for name in ("host_key", "host_key-cert.pub", "user_ca.pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(settings.run_path(name))


def rest(settings: Settings) -> None:
    """Write back what is dirty.

    The caches stay: pages that the kernel frees keep what was in them, so a rest is as large
    without, and whoever wakes has to read it all again.
    """
    if settings.owns_machine:
        os.sync()


def _line(value: object) -> str:
    text = str(value).strip()
    if not text or "\n" in text:
        raise ValueError("a key must be one line")
    return text + "\n"


def _write(path: str, text: str, mode: int) -> None:
    if _says(path, text):
        # A machine that wakes is called as before, and its disk may have become full since.
        return
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(fd, "w", encoding="utf-8") as file:
        os.fchmod(fd, mode)
        file.write(text)
    os.replace(path + ".new", path)


def _says(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() == text
    except (OSError, ValueError):
        return False
