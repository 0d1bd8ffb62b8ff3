"""The two processes of a model's measurement: a provider that streams, a gateway that meters."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Mapping
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
from tests.support.gateway import LOOPBACK, MemoryNames, Zone, loopback_doors
from vmpool.network.gateway import Access, Gateway, Identity
from vmpool.network.policy import Policy

STREAM_SECONDS = 0.005
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
START = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
STOP = {"type": "message_stop"}


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
        meter=Metering(database, spending, known),
        branches=BranchRows(database),
        models=known,
        code_hosts=[],
        grants=None,
    )
    project = UUID(words["project"])
    of = routes.of(Working(id=project, repositories=["/srv/demo"], document=Document()))

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


if __name__ == "__main__":
    if sys.argv[1] == "stream":
        stream()
    else:
        asyncio.run(models())
