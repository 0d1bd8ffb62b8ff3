"""What the gateway adds to a request to a model, until the first event of its answer is there.

Provider, gateway and client are a process each, over loopback. The gateway meters for real: whose
turn runs is looked up, and the worst case is set aside in PostgreSQL before the request goes on.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from statistics import median

from bot.work.work_queue import WorkQueue
from tests.bench.figures import Figure, spread
from tests.bench.gateway import process, said
from tests.bench.peers import LOOPBACK
from tests.bench.town import Town, databases

MODULE = "model_process"
REQUESTS = 200
WARMING = 10
ADDED_MS_MAX = 5.0
ASKED = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": True, "messages": []}


async def measure() -> list[Figure]:
    """Directly and through it, in turns."""
    async with _turn() as words:
        with ExitStack() as stack:
            provider = int(said(stack.enter_context(process("stream", module=MODULE))))
            given = json.dumps({**words, "provider": provider})
            gateway = stack.enter_context(process("models", given, module=MODULE))
            ways = [
                (provider, _request("/v1/messages")),
                (json.loads(said(gateway))["port"], _request("/model/anthropic/v1/messages")),
            ]
            samples = [await asyncio.to_thread(_both, ways) for _ in range(WARMING + REQUESTS)]
    direct, through = (list(each) for each in zip(*samples[WARMING:], strict=True))
    added = [one - median(direct) for one in through]
    figure = Figure(
        name="added to a model's stream by the gateway, to its first event",
        unit="ms",
        **spread(added),
        yardstick="the stream without it",
        yardstick_p50=round(median(direct), 3),
        target=f"p50 ≤ {ADDED_MS_MAX:g} ms",
        passed=median(added) <= ADDED_MS_MAX,
        note="Each request sets its worst case aside in PostgreSQL first.",
    )
    return [figure]


@asynccontextmanager
async def _turn() -> AsyncIterator[dict[str, str]]:
    """A turn that runs, by the words that the gateway has to know of it."""
    async with databases() as make_url:
        town = Town(make_url())
        await town.settle()
        await town.inbox.accept(town.message("model"))
        queue = WorkQueue(town.database, owner="bench", host_id=town.host, lease_seconds=600)
        lease = await queue.claim()
        assert lease is not None
        assert await queue.begin_turn(lease, None) is not None
        yield {
            "database": town.url,
            "session": str(lease.key.session_id),
            "project": str(town.project),
        }
        await town.database.close()


def _request(path: str) -> bytes:
    body = json.dumps(ASKED)
    head = [
        f"POST {path} HTTP/1.1",
        "Host: gateway.ona",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body]).encode()


def _both(ways: Sequence[tuple[int, bytes]]) -> list[float]:
    return [_first_event(port, request) for port, request in ways]


def _first_event(port: int, request: bytes) -> float:
    """Milliseconds from a new connection until the first event has come."""
    began = time.perf_counter()
    with socket.create_connection((LOOPBACK, port), timeout=30) as sock:
        sock.sendall(request)
        answer = b""
        while b"message_start" not in answer:
            got = sock.recv(1 << 16)
            assert got, answer
            answer += got
        took = time.perf_counter() - began
        while sock.recv(1 << 16):
            pass
    return took * 1000
