"""A guest's network stack without a guest: a namespace whose card is the other end of a slot's tap.

guest namespace: eth0 172.16.0.2 ─tap─ a thread that copies frames ─tap─ slot: tap0 172.16.0.1
"""

import asyncio
import os
import select
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmpool.network import slot
from vmpool.network.namespace import inside, open_tap
from vmpool.network.slots import NAMESPACES

CARD = "eth0"
FRAME_BYTES_MAX = 70_000
SECONDS_MAX = 20


@dataclass(frozen=True)
class Guest:
    """Somewhere to run programs as if in a machine."""

    name: str

    async def run(self, *command: str) -> tuple[int, str]:
        """A program's status and what it said."""
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", self.name, *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode(errors="replace")

    async def python(self, program: str, *arguments: str) -> str:
        """What a program of a few lines says."""
        _, said = await self.run("python3", "-I", "-S", "-c", program, *arguments)
        return said.strip()


@contextmanager
def guest(namespace: Path) -> Iterator[Guest]:
    """Be the guest of a slot, whole: ARP, TCP, and a default route to the gateway."""
    name = f"{namespace.name}-guest"
    card = f"""set -eu
ip tuntap add dev {CARD} mode tap vnet_hdr
ip link set dev {CARD} address {slot.GUEST_MAC}
ip addr add {slot.GUEST_ADDRESS}/{slot.PREFIX_BITS} dev {CARD}
ip link set dev lo up
ip link set dev {CARD} up
ip route add default via {slot.HOST_ADDRESS}
mkdir -p /etc/netns/{name}
"""
    subprocess.run(["ip", "netns", "add", name], check=True)
    ends: list[int] = []
    try:
        subprocess.run(["ip", "netns", "exec", name, "sh", "-c", card], check=True)
        resolver = Path("/etc/netns", name, "resolv.conf")
        resolver.write_text(f"nameserver {slot.HOST_ADDRESS}\noptions edns0 timeout:2 attempts:1\n")
        ends.append(inside(namespace, lambda: open_tap(slot.TAP)))
        ends.append(inside(NAMESPACES / name, lambda: open_tap(CARD)))
        with _copying(*ends):
            yield Guest(name)
    finally:
        for fd in ends:
            os.close(fd)
        subprocess.run(["ip", "netns", "delete", name], check=True)
        subprocess.run(["rm", "-rf", f"/etc/netns/{name}"], check=True)


@contextmanager
def _copying(one: int, other: int) -> Iterator[None]:
    ended, end = os.pipe()

    def copy() -> None:
        while True:
            ready, _, _ = select.select([one, other, ended], [], [])
            if ended in ready:
                return
            for fd in ready:
                os.write(other if fd == one else one, os.read(fd, FRAME_BYTES_MAX))

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        yield
    finally:
        os.write(end, b"x")
        thread.join()
        os.close(ended)
        os.close(end)
