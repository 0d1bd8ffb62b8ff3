"""A machine without a network device: the gateway listens in it over its channel."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from tests.integration.gateway.test_resolver import question, read
from tests.support.gateway import LOOPBACK, Heard, Rig, allow, rig, serving
from vmpool.errors import MachineLost
from vmpool.network.gateway import Limits
from vmpool.network.policy import Policy

GATEWAY = "172.16.0.1"


@dataclass
class Machine:
    """What listens in it, and who is given what connects there."""

    doors: dict[tuple[str, int], Callable[[socket.socket], None]] = field(default_factory=dict)
    refuses: set[int] = field(default_factory=set)
    waits: asyncio.Event | None = None
    """Until then nobody listens."""

    async def listen(self, address: str, port: int, taken: Callable[[socket.socket], None]) -> None:
        if port in self.refuses:
            raise MachineLost(f"nobody may listen on {port}")
        if self.waits is not None:
            await self.waits.wait()
        assert (address, port) not in self.doors
        self.doors[address, port] = taken

    async def says(self, address: str, port: int, said: bytes, *, ends: bool = True) -> bytes:
        """All that is answered at an address."""
        theirs, ours = socket.socketpair()
        self.doors[address, port](theirs)
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(said)
        if ends:
            writer.write_eof()
        answered = b""
        # Whoever is let go at once hears of it in its reading or in its writing.
        with suppress(BrokenPipeError, ConnectionResetError):
            async with asyncio.timeout(10):
                answered = await reader.read()
        writer.close()
        return answered

    async def asks(self, name: str) -> tuple[int, str | None]:
        asked = question(name)
        answer = await self.says(GATEWAY, 53, len(asked).to_bytes(2) + asked)
        return read(answer[2:])


def request(host: str) -> bytes:
    return f"GET /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode()


async def served(at: Rig, machine: Machine) -> UUID:
    at.who = type(at.who)(machine=at.who.machine)
    await at.gateway.serve_over(at.who.machine, machine.listen)
    return at.who.machine


async def test_it_has_the_doors_of_a_slot_and_one_for_each_port_of_a_name() -> None:
    heard, machine = Heard(), Machine()
    async with rig() as at, serving(heard.server()) as port:
        at.zone.hosts["pkg.test"] = [LOOPBACK]
        at.policy = Policy(rules=allow(f"pkg.test:{port}", f"{LOOPBACK}:{port}"))
        await served(at, machine)
        assert set(machine.doors) == {(GATEWAY, door) for door in (53, 80, 443, 8080)}
        assert (await machine.says(GATEWAY, 8080, request("no.test"))).startswith(b"HTTP/1.1 403 ")
        assert b"no.test" in await machine.says(
            GATEWAY, 80, request("gateway.ona").replace(b"/a", b"/denied")
        )
        assert await machine.asks("no.test") == (3, None)
        assert await machine.asks("pkg.test") == (0, "198.18.0.1")
        assert await machine.asks("pkg.test") == (0, "198.18.0.1")
        answer = await machine.says("198.18.0.1", port, request(f"pkg.test:{port}"))
        assert answer.endswith(b"\r\n\r\nhello")
        assert len(machine.doors) == 5


async def test_a_service_is_reached_by_any_protocol_both_ways() -> None:
    machine = Machine()

    async def shouts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"who is there? ")
        writer.write((await reader.read()).upper())

    async with rig() as at, serving(shouts) as port:
        at.zone.hosts["db.test"] = [LOOPBACK]
        at.policy = Policy(rules=allow(f"{LOOPBACK}:{port}"), services=allow(f"db.test:{port}"))
        await served(at, machine)
        assert await machine.asks("db.test") == (0, "198.18.0.1")
        said = b"a" * (3 << 20)
        answer = await machine.says("198.18.0.1", port, said)
        assert answer == b"who is there? " + said.upper()
        at.policy = Policy()
        assert await machine.says("198.18.0.1", port, b"x") == b""
        assert f"db.test:{port}" in at.denied()[-1]


async def test_names_of_before_are_there_again_over_the_next_channel() -> None:
    first, second = Machine(), Machine()
    async with rig() as at:
        at.policy = Policy(services=allow("db.test:5432", "old.test:1"))
        await served(at, first)
        assert (await first.asks("db.test"))[1] == "198.18.0.1"
        assert (await first.asks("old.test"))[1] == "198.18.0.2"
        at.policy = Policy(services=allow("db.test:5432"))
        await served(at, second)
        async with asyncio.timeout(10):
            while ("198.18.0.1", 5432) not in second.doors:
                await asyncio.sleep(0.01)
        assert ("198.18.0.2", 1) not in second.doors
        # Whatever still comes over the old one is let go at once.
        assert await first.says(GATEWAY, 8080, request("no.test"), ends=False) == b""


async def test_a_machine_that_lets_nobody_listen_for_a_name_keeps_the_rest() -> None:
    machine = Machine(refuses={5432})
    async with rig() as at:
        at.policy = Policy(services=allow("db.test:5432"))
        await served(at, machine)
        assert await machine.asks("db.test") == (0, "198.18.0.1")
        assert (await machine.says(GATEWAY, 8080, request("no.test"))).startswith(b"HTTP/1.1 403 ")
        machine.refuses.clear()
        assert await machine.asks("db.test") == (0, "198.18.0.1")
        assert ("198.18.0.1", 5432) in machine.doors


async def test_nobody_is_told_an_address_before_it_can_be_connected_to() -> None:
    machine = Machine()
    async with rig() as at:
        at.policy = Policy(services=allow("db.test:5432"))
        await served(at, machine)
        machine.waits = asyncio.Event()
        asked = [asyncio.create_task(machine.asks("db.test")) for _ in range(2)]
        done, _ = await asyncio.wait(asked, timeout=0.5)
        assert not done
        machine.waits.set()
        assert await asyncio.gather(*asked) == [(0, "198.18.0.1")] * 2


async def test_it_has_as_many_connections_as_any_other() -> None:
    machine = Machine()
    async with rig(Limits(connections_max=1)) as at:
        await served(at, machine)
        theirs, ours = socket.socketpair()
        with ours:
            machine.doors[GATEWAY, 8080](theirs)
            assert await machine.says(GATEWAY, 8080, b"", ends=False) == b""


async def test_one_that_lets_nobody_listen_at_all_is_said() -> None:
    async with rig() as at:
        with pytest.raises(MachineLost, match="nobody may listen on 8080"):
            await served(at, Machine(refuses={8080}))
