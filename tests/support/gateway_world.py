"""The world of a gateway in real network slots: its addresses in a namespace of the test's own.

The gateway runs in a process of its own, in a namespace without a way out. Whatever a machine must
not reach has its address there and really answers, so that a hole would be seen as a hole.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmpool.network.slots import Slots, namespace

WORLD = {
    "93.184.215.14": "the internet",
    "93.184.215.15": "the internet, not allowed",
    "10.77.0.1": "the private network",
    "10.77.0.5": "a database",
    "169.254.169.254": "the metadata service",
    "192.0.2.53": "a resolver of somebody's",
}
SIX = "2606:2800:220:1::1"
"""The internet's, too."""
OWN, OWN_SIX = "203.0.113.1", "2001:db8:203::1"
"""Of the gateway's host, which answers there as well."""
PYTHON_GET = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
except Exception as error:
    print(type(error).__name__, getattr(error, "code", ""), error)
    if hasattr(error, "read"): print(error.read().decode())
"""
PYTHON_TALK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4) as sock:
        sock.sendall(sys.argv[3].encode().decode("unicode_escape").encode("latin-1"))
        sock.shutdown(socket.SHUT_WR)
        said = b""
        while got := sock.recv(65536): said += got
        print(said)
except OSError as error:
    print(type(error).__name__, error)
"""
PYTHON_LOOK = """
import socket, sys
for name in sys.argv[1:]:
    try:
        print(name, sorted({each[4][0] for each in socket.getaddrinfo(name, 80)}))
    except OSError as error:
        print(name, "none")
"""
PYTHON_ASK = """
import socket, struct, sys
name, server = sys.argv[1:]
said = struct.pack("!6H", 9, 256, 1, 0, 0, 0)
said += b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(1)
    try:
        sock.sendto(said + b"\\0\\0\\1\\0\\1", (server, 53))
        print(sock.recv(4096)[3] & 15)
    except OSError as error:
        print("silence")
"""
PYTHON_TLS = r"""
import socket, ssl, sys
address, port, tunnel, name = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((address, int(port)), timeout=4) as sock:
        if tunnel:
            sock.sendall(f"CONNECT {tunnel} HTTP/1.1\r\nHost: {tunnel}\r\n\r\n".encode())
            print(sock.recv(4096).split(b"\r\n")[0].decode())
        context.wrap_socket(sock, server_hostname=name or None)
except OSError as error:
    print(type(error).__name__, error)
"""
"""Asks for a name in TLS, through a tunnel if one is named."""


@dataclass
class World:
    """The gateway's process and its surroundings."""

    process: asyncio.subprocess.Process
    heard: Path
    outside: str
    """The namespace that is the world."""

    async def tell(self, **words: object) -> object:
        """Ask the gateway's process for something; its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        return json.loads(line)

    def visitors(self) -> list[str]:
        """Which addresses of the world were connected to."""
        return [one["at"] for one in self._heard() if "said" not in one]

    def said(self) -> list[str]:
        """What was said to them, a connection each."""
        return [one["said"] for one in self._heard() if "said" in one]

    def _heard(self) -> list[dict[str, str]]:
        lines = self.heard.read_text().splitlines() if self.heard.exists() else []
        return [json.loads(line) for line in lines]


@contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """One for the gateway, whose only way on is a wire into the other, which is the world."""
    gateway, world = (f"ona-{kind}-{os.getpid()}" for kind in ("way", "world"))
    script = f"""set -eu
ip netns add {gateway}
ip netns add {world}
ip -n {gateway} link add wire type veth peer name wire netns {world}
for each in {gateway} {world}; do ip -n $each link set lo up; ip -n $each link set wire up; done
ip -n {gateway} addr add {OWN}/32 dev wire
ip -n {gateway} addr add {OWN_SIX}/128 dev wire nodad
ip -n {world} route add {OWN}/32 dev wire
ip -n {world} route add {OWN_SIX}/128 dev wire
ip -n {world} addr add {SIX}/128 dev wire nodad
ip -n {gateway} route add {SIX}/128 dev wire
for each in {" ".join(WORLD)}; do
    ip -n {world} addr add $each/32 dev lo
    ip -n {gateway} route add $each/32 dev wire
done
"""
    try:
        subprocess.run(["sh", "-c", script], check=True)
        yield gateway, world
    finally:
        for name in (gateway, world):
            subprocess.run(["ip", "netns", "delete", name], check=False)


POLICY = {
    "rules": ["pkg.test", "*.wild.test", "inside.test", "rebound.test", "meta.test", "six.test"],
    "services": ["db.test:5432", "git.test:22"],
    "addresses": ["10.77.0.5:5432"],
    "denied": ["bad.wild.test"],
    "zone": {
        "pkg.test": ["93.184.215.14"],
        "a.wild.test": ["93.184.215.14"],
        "bad.wild.test": ["93.184.215.15"],
        "no.test": ["93.184.215.15"],
        "inside.test": ["10.77.0.1"],
        "meta.test": ["169.254.169.254"],
        "db.test": ["10.77.0.5"],
        "git.test": ["93.184.215.14"],
        "six.test": [SIX],
        "rebound.test": [
            *(OWN, "93.184.215.14", "10.77.0.1"),
            *("93.184.215.14", "169.254.169.254", "93.184.215.14"),
        ],
    },
    "one_by_one": ["rebound.test"],
}


async def attached(world: World, slots: Slots, machine: int) -> Path:
    where = namespace(await slots.take(f"m{machine}"))
    assert await world.tell(do="attach", where=str(where), machine=machine, **POLICY) == "attached"
    return where
