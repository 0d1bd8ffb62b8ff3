"""The two processes of the gateway's measurement: a server that pours, and the gateway."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from uuid import UUID, uuid4

from tests.support.gateway import LOOPBACK, MemoryNames, Zone, allow, loopback_doors
from vmpool.network.gateway import Access, Gateway, Identity, Limits
from vmpool.network.policy import Policy

HOST = "pour.test"
UNLIMITED = Limits(bytes_per_second_max=1e12, burst_bytes_max=1e12)
"""What is measured is the work, not what a machine may take."""
CHUNK = bytes(1 << 20)


def pour() -> None:
    """Answer a connection's first bytes with as many MiB as its argument says; 0: one byte."""
    size_mib = int(sys.argv[2])
    listening = socket.create_server((LOOPBACK, 0), backlog=64)
    print(listening.getsockname()[1], flush=True)
    while True:
        sock, _ = listening.accept()
        with sock:
            if sock.recv(1 << 16):
                for _ in range(size_mib):
                    sock.sendall(CHUNK)
                if not size_mib:
                    sock.sendall(b"x")


async def gateway() -> None:
    """Serve as many machines as asked for; the first one's proxy, and the memory of all."""
    ports = [int(port) for port in sys.argv[2].split(",")]
    zone = Zone({HOST: [LOOPBACK]})
    lines = [line for port in ports for line in (f"{HOST}:{port}", f"{LOOPBACK}:{port}")]

    async def access(_who: Identity) -> Access:
        return Access(Policy(rules=allow(*lines)))

    made = Gateway(
        access=access, audit=lambda _: None, names=MemoryNames(), resolve=zone, limits=UNLIMITED
    )
    doors = loopback_doors()
    assert doors.proxy is not None
    await made.attach(doors, Identity(machine=UUID(int=0)))
    loop = asyncio.get_running_loop()
    print(json.dumps({"port": doors.proxy.getsockname()[1], "mib": memory_mib()}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for _ in range(int(line)):
            await made.attach(loopback_doors(), Identity(machine=uuid4()))
        print(json.dumps({"mib": memory_mib()}), flush=True)
    await made.close()


def memory_mib() -> float:
    """Of this process, what it has for itself alone."""
    words = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kib = sum(int(each.split()[1]) for each in words if each.startswith("Private_"))
    return round(kib / 1024, 1)


if __name__ == "__main__":
    if sys.argv[1] == "pour":
        pour()
    else:
        asyncio.run(gateway())
