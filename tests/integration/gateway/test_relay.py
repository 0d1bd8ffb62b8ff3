"""Bytes through a tunnel: all of them, in order, in both directions at once."""

import asyncio
import os
import random

from tests.support.gateway import LOOPBACK, allow, connect, rig, serving
from vmpool.network.policy import Policy

MIB = 1 << 20


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(MIB):
        writer.write(chunk)
        await writer.drain()


async def test_everything_comes_through_in_both_directions_at_once() -> None:
    sent = random.Random(1).randbytes(24 * MIB)
    async with rig() as at, serving(echo) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        _, reader, writer = await connect(at.proxy, f"{LOOPBACK}:{port}")
        before = set(os.listdir("/proc/self/fd"))

        async def send() -> None:
            for start in range(0, len(sent), 100_003):
                writer.write(sent[start : start + 100_003])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(60):
            got = await reader.read()
        await sending
        writer.close()
        await at.gateway.detach(at.who.machine)
        after = set(os.listdir("/proc/self/fd"))
    assert got == sent
    assert len(after) < len(before)


async def test_a_reader_that_is_slow_is_waited_for() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for number in range(32):
            writer.write(bytes([number]) * MIB)
            await writer.drain()

    async with rig() as at, serving(pour) as port:
        at.policy = Policy(services=allow(f"{LOOPBACK}:{port}"))
        _, reader, writer = await connect(at.proxy, f"{LOOPBACK}:{port}")
        writer.write(b"x")
        got = bytearray()
        async with asyncio.timeout(60):
            while chunk := await reader.read(256 << 10):
                got += chunk
                await asyncio.sleep(0.001)
        writer.close()
    assert bytes(got) == b"".join(bytes([number]) * MIB for number in range(32))
