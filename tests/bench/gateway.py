"""The gateway's own cost: a large download, a new connection, machines that do nothing.

Server, gateway and client are a process each, over loopback; the yardstick is the same client and
server without the gateway between them, both in turns. The tunnel is one for TLS: the client says
a ClientHello, whose name is held against the policy, and the server pours bytes.
"""

import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median

from tests.bench.figures import Figure, spread
from tests.bench.gateway_process import HOST

SIZE_MIB = 200
DOWNLOADS = 7
CONNECTIONS = 200
MACHINES = 200
RATIO_MIN = 0.6
ADDED_MS_MAX = 4.0
IDLE_MIB_MAX = 100.0
LOOPBACK = "127.0.0.1"


def measure() -> list[Figure]:
    """All of it in one run."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        large, small = (stack.enter_context(_process("pour", size)) for size in (SIZE_MIB, 0))
        ports = [int(_line(each)) for each in (large, small)]
        gateway = stack.enter_context(_process("gateway", ",".join(map(str, ports))))
        proxy = json.loads(_line(gateway))["port"]
        figures = [_download(ports[0], proxy), _connections(ports[1], proxy)]
        return [*figures, _idle(gateway)]


def _download(port: int, proxy: int) -> Figure:
    direct, through = [], []
    for _ in range(DOWNLOADS):
        direct.append(_seconds(port, None))
        through.append(_seconds(port, proxy))
    rates = [SIZE_MIB / seconds for seconds in through]
    yardstick = SIZE_MIB / median(direct)
    ratio = median(rates) / yardstick
    return Figure(
        name=f"{SIZE_MIB} MiB through a tunnel of the gateway",
        unit="MiB/s",
        **spread(rates),
        yardstick="the same without the gateway",
        yardstick_p50=round(yardstick, 1),
        ratio=round(ratio, 3),
        target=f"≥ {RATIO_MIN} × the yardstick",
        passed=ratio >= RATIO_MIN,
    )


def _connections(port: int, proxy: int) -> Figure:
    direct, through = [], []
    for _ in range(CONNECTIONS):
        direct.append(_seconds(port, None) * 1000)
        through.append(_seconds(port, proxy) * 1000)
    added = [one - median(direct) for one in through]
    return Figure(
        name="added to a new connection by the gateway, to its first byte",
        unit="ms",
        **spread(added),
        yardstick="the connection without it",
        yardstick_p50=round(median(direct), 3),
        target=f"p50 ≤ {ADDED_MS_MAX:g} ms",
        passed=median(added) <= ADDED_MS_MAX,
    )


def _idle(gateway: "subprocess.Popen[str]") -> Figure:
    assert gateway.stdin
    gateway.stdin.write(f"{MACHINES - 1}\n")
    gateway.stdin.flush()
    mib = json.loads(_line(gateway))["mib"]
    return Figure(
        name=f"memory of a gateway with {MACHINES} idle machines",
        unit="MiB",
        **spread([mib]),
        yardstick="",
        target=f"≤ {IDLE_MIB_MAX:g} MiB",
        passed=mib <= IDLE_MIB_MAX,
        note="private memory of the whole process; sockets on loopback instead of in slots",
    )


def _seconds(port: int, proxy: int | None) -> float:
    """Connect, say hello, and read to the end."""
    began = time.perf_counter()
    with socket.create_connection((LOOPBACK, proxy or port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if proxy is not None:
            sock.sendall(f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
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
def _process(what: str, argument: object) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.gateway_process", what, str(argument)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the process ended"
    return line
