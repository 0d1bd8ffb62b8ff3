"""Every limit of a machine, reached; and one machine that takes all it can, beside another."""

import asyncio
import socket
import time
from contextlib import ExitStack

import pytest

from tests.integration.gateway.test_proxy import reach
from tests.support.gateway import (
    LOOPBACK,
    Heard,
    allow,
    connect,
    get,
    loopback_doors,
    rig,
    serving,
    talk,
    tunnel_head,
)
from vmpool.network.gateway import Identity, Limits
from vmpool.network.gateway.limits import Bucket
from vmpool.network.policy import Policy

MIB = 1 << 20


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send without an end, as fast as it is taken."""
    while True:
        writer.write(bytes(MIB))
        await writer.drain()


async def test_connections() -> None:
    async with rig(Limits(connections_max=3)) as at, serving(hang) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        opened = [await connect(at.proxy, f"{LOOPBACK}:{port}") for _ in range(3)]
        assert all(head.startswith("HTTP/1.1 200 ") for head, _, _ in opened)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await connect(at.proxy, f"{LOOPBACK}:{port}")
        opened[0][2].close()
        for _ in range(100):
            try:
                assert "200" in await tunnel_head(at.proxy, f"{LOOPBACK}:{port}")
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)
        else:
            pytest.fail("a connection that ended still counts")
        for _, _, writer in opened:
            writer.close()


async def test_bytes_of_a_head() -> None:
    async with rig(Limits(head_bytes_max=2000)) as at:
        long = f"GET http://x.test/ HTTP/1.1\r\nHost: x\r\nX: {'y' * 4000}"
        answer = await talk(at.proxy, long.encode())
    assert answer.startswith(b"HTTP/1.1 431 More than 2000 bytes of headers.")


async def test_seconds_of_a_head() -> None:
    async with rig(Limits(head_seconds_max=0.2)) as at:
        reader, writer = await asyncio.open_connection(LOOPBACK, at.proxy)
        slowly = asyncio.create_task(_drip(writer))
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        slowly.cancel()
        await asyncio.wait([slowly])
        writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    for sign in b"GET http://x.test/ HTTP/1.1\r\n" * 100:
        writer.write(bytes([sign]))
        await asyncio.sleep(0.02)


async def test_seconds_for_a_name() -> None:
    async with rig(Limits(head_seconds_max=0.2)) as at, serving(hang) as port:
        reach(at, "pkg.test", port)
        _, reader, writer = await connect(at.proxy, f"pkg.test:{port}")
        assert await reader.read() == b""
        writer.close()
        assert "any protocol" in at.denied()[0]
        assert await talk(at.tls, b"\x16\x03\x01") == b""


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
async def test_bytes_of_a_body(framing: str) -> None:
    heard = Heard()
    async with rig(Limits(body_bytes_max=1000)) as at, serving(heard.server()) as port:
        reach(at, "pkg.test", port)
        head = f"POST http://pkg.test:{port}/ HTTP/1.1\r\nHost: x\r\n"
        if framing == "chunked":
            said = head + "Transfer-Encoding: chunked\r\n\r\n" + f"200\r\n{'x' * 512}\r\n" * 3
        else:
            said = head + f"Content-Length: 1001\r\n\r\n{'x' * 1001}"
        answer = await talk(at.proxy, said.encode())
    assert answer.startswith(b"HTTP/1.1 413 More than 1000 bytes are not taken.")
    assert heard.bodies == []


async def test_seconds_without_a_byte() -> None:
    async with rig(Limits(idle_seconds_max=0.2)) as at, serving(hang) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        _, reader, writer = await connect(at.proxy, f"{LOOPBACK}:{port}")
        began = time.monotonic()
        for _ in range(4):
            writer.write(b"x")
            await asyncio.sleep(0.1)
        assert await reader.read() == b""
        assert time.monotonic() - began > 0.45
        writer.close()
        assert await talk(at.proxy, b"") == b""


async def test_seconds_of_a_connection() -> None:
    async with rig(Limits(connection_seconds_max=0.3)) as at, serving(pour) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        _, reader, writer = await connect(at.proxy, f"{LOOPBACK}:{port}")
        async with asyncio.timeout(5):
            while await reader.read(MIB):
                pass
        writer.close()


async def test_seconds_to_resolve() -> None:
    async with rig(Limits(resolve_seconds_max=0.1)) as at:
        at.policy = Policy(rules=allow("slow.test"))
        at.zone.seconds = 60
        head = await tunnel_head(at.proxy, "slow.test:443")
    assert head.startswith("HTTP/1.1 504 slow.test could not be resolved within 0.1 s.")


async def test_seconds_to_connect() -> None:
    """A full backlog takes no more connections and says nothing."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((LOOPBACK, port))
        await asyncio.sleep(0.1)
        async with rig(Limits(connect_seconds_max=0.2)) as at:
            reach(at, "full.test", port)
            head = await tunnel_head(at.proxy, f"full.test:{port}")
            plain = await get(at.proxy, f"http://full.test:{port}/", "x")
    assert head.startswith(f"HTTP/1.1 504 full.test:{port} is allowed, but did not answer within")
    assert plain.startswith("HTTP/1.1 504 full.test did not answer in time.")


async def test_bytes_per_second() -> None:
    limits = Limits(bytes_per_second_max=2 * MIB, burst_bytes_max=MIB)
    async with rig(limits) as at, serving(pour) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        opened = [await connect(at.proxy, f"{LOOPBACK}:{port}") for _ in range(2)]
        got = sum(await asyncio.gather(*(_read_for(reader, 1.5) for _, reader, _ in opened)))
        for _, _, writer in opened:
            writer.close()
    # What is on its way in sockets comes on top.
    assert 2 * MIB < got < 12 * MIB


async def _read_for(reader: asyncio.StreamReader, seconds: float) -> int:
    total = 0
    try:
        async with asyncio.timeout(seconds):
            while chunk := await reader.read(MIB):
                total += len(chunk)
    except TimeoutError:
        pass
    return total


def test_a_bucket_gives_what_flows_into_it() -> None:
    now = [0.0]
    bucket = Bucket(10, 20, lambda: now[0])
    assert bucket.take(20) == 0
    assert bucket.take(5) == 0.5
    now[0] = 0.5
    assert bucket.take(10) == 1.0
    now[0] = 100.0
    assert bucket.offer(20)
    assert not bucket.offer(1)
    now[0] = 100.5
    assert bucket.offer(1)


async def test_a_machine_that_takes_all_it_can_leaves_the_other_its_share() -> None:
    heard = Heard()
    async with rig() as at, serving(pour) as busy, serving(heard.server()) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{busy}"))
        opened = [await connect(at.proxy, f"{LOOPBACK}:{busy}") for _ in range(16)]
        drains = [asyncio.create_task(_read_for(reader, 30)) for _, reader, _ in opened]
        other = Identity(machine=at.who.machine.__class__(int=1))
        doors = loopback_doors()
        await at.gateway.attach(doors, other)
        assert doors.proxy is not None
        second = doors.proxy.getsockname()[1]
        at.who = other
        reach(at, "pkg.test", port)
        waits = []
        for _ in range(20):
            began = time.monotonic()
            answer = await get(second, f"http://pkg.test:{port}/", "pkg.test")
            waits.append(time.monotonic() - began)
            assert answer.startswith("HTTP/1.1 200 ")
        for drain in drains:
            drain.cancel()
        await asyncio.gather(*drains, return_exceptions=True)
        for _, _, writer in opened:
            writer.close()
    # Servers, clients and gateway share one loop here, so this is the worst case.
    assert sorted(waits)[10] < 1.0
