"""The gateway's own cost: a large download, a new connection, machines that do nothing.

Server, gateway and client are a process each, over loopback; the yardsticks are the same client and
server without the gateway between them, and with squid and mitmproxy there, all in turns. The
tunnel is one for TLS: the client says a ClientHello, whose name is held against the policy, and the
server pours bytes.
"""

import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench.figures import Figure, spread
from tests.bench.gateway_process import HOST
from tests.bench.peers import LOOPBACK, mitmproxy, squid

SIZE_MIB = 200
DOWNLOADS = 7
CONNECTIONS = 200
MACHINES = 200
RATIO_MIN = 0.6
ADDED_MS_MAX = 4.0
IDLE_MIB_MAX = 100.0
PEERS = {"squid": squid, "mitmproxy": mitmproxy}
AHEAD = {"mitmproxy": 1.0}
"""Of whom the gateway has to be ahead."""


@dataclass(frozen=True)
class Way:
    """How the client comes to the server."""

    name: str
    proxy: int | None
    """Port; None: it connects directly."""
    host: str = LOOPBACK
    """What it asks a proxy for."""


DIRECT = Way("direct", None)
Measured = Mapping[Way, list[float]]
"""Of each way, sample by sample."""


def measure() -> list[Figure]:
    """All of it in one run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        large, small = (stack.enter_context(process("pour", size)) for size in (SIZE_MIB, 0))
        ports = [int(said(each)) for each in (large, small)]
        gateway = stack.enter_context(process("gateway", ",".join(map(str, ports))))
        ours = Way("gateway", json.loads(said(gateway))["port"], HOST)
        begun = [(name, stack.enter_context(peer())) for name, peer in PEERS.items()]
        peers = [Way(name, port) for name, port in begun if port is not None]
        ways = [DIRECT, ours, *peers]
        figures = [
            *_downloads(_sampled(ports[0], ways, DOWNLOADS), ours, peers),
            *_connections(_sampled(ports[1], ways, CONNECTIONS), ours, peers),
        ]
        return [*figures, _idle(gateway)]


def _sampled(port: int, ways: Sequence[Way], count: int) -> Measured:
    """Seconds, all ways in turns."""
    found: dict[Way, list[float]] = {way: [] for way in ways}
    for _ in range(count):
        for way in ways:
            found[way].append(_seconds(port, way))
    return found


def _downloads(seconds: Measured, ours: Way, peers: Sequence[Way]) -> list[Figure]:
    rates = {way: [SIZE_MIB / one for one in each] for way, each in seconds.items()}

    def against(way: Way, words: str, at_least: float | None) -> Figure:
        yardstick = median(rates[way])
        ratio = round(median(rates[ours]) / yardstick, 3)
        return Figure(
            name=f"{SIZE_MIB} MiB through a tunnel of the gateway",
            unit="MiB/s",
            **spread(rates[ours]),
            yardstick=words,
            yardstick_p50=round(yardstick, 1),
            ratio=ratio,
            target="" if at_least is None else f"≥ {at_least:g} × the yardstick",
            passed=at_least is None or ratio >= at_least,
        )

    beside = [against(way, f"the same through {way.name}", AHEAD.get(way.name)) for way in peers]
    missing = sorted(set(PEERS) - {way.name for way in peers})
    note = f"not installed where this was measured: {', '.join(missing)}" if missing else ""
    first = against(DIRECT, "the same without the gateway", RATIO_MIN)
    return [replace(first, note=note), *beside]


def _connections(seconds: Measured, ours: Way, peers: Sequence[Way]) -> list[Figure]:
    bare = median(seconds[DIRECT]) * 1000
    added = {way: [one * 1000 - bare for one in each] for way, each in seconds.items()}
    name = "added to a new connection by the gateway, to its first byte"
    spent = spread(added[ours])
    beside = [
        Figure(
            name=name,
            unit="ms",
            **spent,
            yardstick=f"added by {way.name}",
            yardstick_p50=round(median(added[way]), 3),
            ratio=round(median(added[ours]) / median(added[way]), 2),
            target="",
            passed=True,
        )
        for way in peers
    ]
    first = Figure(
        name=name,
        unit="ms",
        **spent,
        yardstick="the connection without it",
        yardstick_p50=round(bare, 3),
        target=f"p50 ≤ {ADDED_MS_MAX:g} ms",
        passed=median(added[ours]) <= ADDED_MS_MAX,
    )
    return [first, *beside]


def _idle(gateway: "subprocess.Popen[str]") -> Figure:
    assert gateway.stdin
    gateway.stdin.write(f"{MACHINES - 1}\n")
    gateway.stdin.flush()
    mib = json.loads(said(gateway))["mib"]
    return Figure(
        name=f"memory of a gateway with {MACHINES} idle machines",
        unit="MiB",
        **spread([mib]),
        yardstick="",
        target=f"≤ {IDLE_MIB_MAX:g} MiB",
        passed=mib <= IDLE_MIB_MAX,
        note="private memory of the whole process; sockets on loopback instead of in slots",
    )


def _seconds(port: int, way: Way) -> float:
    """Connect, say hello, and read to the end."""
    began = time.perf_counter()
    with socket.create_connection((LOOPBACK, way.proxy or port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if way.proxy is not None:
            to = f"{way.host}:{port}"
            sock.sendall(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n".encode())
            assert sock.recv(4096).startswith(b"HTTP/1.1 200 ")
        sock.sendall(_HELLO)
        buffer = bytearray(1 << 20)
        while sock.recv_into(buffer):
            pass
    return time.perf_counter() - began


def _hello() -> bytes:
    said = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), said, server_hostname=HOST)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()


_HELLO = _hello()


@contextmanager
def process(
    what: str, argument: object = "", *, module: str = "gateway_process"
) -> Iterator["subprocess.Popen[str]"]:
    """One of a module of `tests.bench`, until it is not needed any more."""
    running = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{module}", what, str(argument)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def said(running: "subprocess.Popen[str]") -> str:
    """The next line that a process says."""
    assert running.stdout
    line = running.stdout.readline()
    assert line, "the process ended"
    return line
