"""Processes of the gateway's measurements: servers that pour or stream, and the gateway."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from bot.config import BudgetSettings, ModelSettings
from bot.govern.policy_text import Document
from bot.govern.spending import Spending
from bot.store.database import Database
from bot.work.branches import BranchRows
from bot.work.metering import Metering, limits_of
from bot.work.routes import Routes, Working
from bot.work.running import Running
from tests.support.gateway import LOOPBACK, MemoryNames, Zone, allow, loopback_doors
from vmpool.network.gateway import Access, Gateway, Identity, Limits
from vmpool.network.policy import Policy

HOST = "pour.test"
UNLIMITED = Limits(bytes_per_second_max=1e12, burst_bytes_max=1e12)
"""What is measured is the work, not what a machine may take."""
CHUNK = bytes(1 << 20)
STREAM_SECONDS = 0.005
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
START = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


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


def stream() -> None:
    """A provider of models: the first event at once, the end a moment later."""
    listening = socket.create_server((LOOPBACK, 0), backlog=64)
    print(listening.getsockname()[1], flush=True)
    while True:
        sock, _ = listening.accept()
        with sock:
            asked = b""
            while not asked.endswith(b"}") and (got := sock.recv(1 << 16)):
                asked += got
            sock.sendall(SSE + _event(START))
            time.sleep(STREAM_SECONDS)
            sock.sendall(_event(STOP) + b"0\r\n\r\n")


def _event(body: Mapping[str, Any]) -> bytes:
    data = f"event: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def models() -> None:
    """Serve one machine whose turn runs, with the real meter; the port of the gateway's pages."""
    words = json.loads(sys.argv[2])
    database = Database(words["database"])
    base = f"http://{LOOPBACK}:{words['provider']}"
    known = {"anthropic": ModelSettings(format="anthropic", url=base, key=SecretStr("sk-ours"))}
    running, spending = Running(database), Spending(database, limits_of(BudgetSettings()))
    routes = Routes(
        running=running,
        meter=Metering(database, spending, running, known),
        branches=BranchRows(database),
        models=known,
        code_hosts=[],
        grants=None,
    )
    project = UUID(words["project"])
    of = routes.of(Working(id=project, repository_url="/srv/demo", document=Document()))

    async def access(_who: Identity) -> Access:
        return Access(Policy(), of)

    zone = Zone({LOOPBACK: [LOOPBACK]})
    made = Gateway(access=access, audit=lambda _: None, names=MemoryNames(), resolve=zone)
    doors = loopback_doors()
    assert doors.web is not None
    whose = Identity(machine=uuid4(), session=UUID(words["session"]), project=project)
    await made.attach(doors, whose)
    print(json.dumps({"port": doors.web.getsockname()[1]}), flush=True)
    await asyncio.Event().wait()


def memory_mib() -> float:
    """Of this process, what it has for itself alone."""
    words = Path("/proc/self/smaps_rollup").read_text().splitlines()
    kib = sum(int(each.split()[1]) for each in words if each.startswith("Private_"))
    return round(kib / 1024, 1)


if __name__ == "__main__":
    match sys.argv[1]:
        case "pour":
            pour()
        case "stream":
            stream()
        case "models":
            asyncio.run(models())
        case _:
            asyncio.run(gateway())
