"""The machine's resolver over UDP and TCP, and its limits."""

import asyncio
import socket
import struct

import pytest

from tests.support.gateway import LOOPBACK, Rig, allow, rig, talk
from vmpool.network.gateway import Access, Identity, Limits, Unreachable
from vmpool.network.policy import Policy

A, AAAA, TXT = 1, 28, 16


def question(name: str, kind: int = A) -> bytes:
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!xHH", kind, 1)


def read(answer: bytes) -> tuple[int, str | None]:
    """Code and address."""
    return answer[3] & 15, socket.inet_ntoa(answer[-4:]) if answer[7] else None


async def ask(at: Rig, name: str, kind: int = A, *, seconds: float = 2.0) -> tuple[int, str | None]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((LOOPBACK, at.dns))
        await loop.sock_sendall(sock, question(name, kind))
        async with asyncio.timeout(seconds):
            return read(await loop.sock_recv(sock, 4096))


async def test_allowed_names_have_an_address_each_and_others_do_not_exist() -> None:
    async with rig() as at:
        at.policy = Policy(rules=allow("pkg.test", "*.wild.test"), services=allow("db.test:5432"))
        assert await ask(at, "pkg.test") == (0, "198.18.0.1")
        assert await ask(at, "DB.test") == (0, "198.18.0.2")
        assert await ask(at, "a.wild.test") == (0, "198.18.0.3")
        assert await ask(at, "pkg.test") == (0, "198.18.0.1")
        assert await ask(at, "gateway.ona") == (0, "172.16.0.1")
        for kind in (AAAA, TXT):
            assert await ask(at, "pkg.test", kind) == (0, None)
        for name in ("no.test", "wild.test", "1.0.18.198.in-addr.arpa", "secret.evil.test"):
            assert await ask(at, name) == (3, None)
        assert at.zone.asked == []
        assert "secret.evil.test" in "".join(at.denied())


async def test_questions_come_over_tcp_too_one_after_the_other() -> None:
    async with rig() as at:
        at.policy = Policy(rules=allow("pkg.test"))
        said = b"".join(
            len(each).to_bytes(2) + each for each in (question("pkg.test"), question("no.test"))
        )
        reader, writer = await asyncio.open_connection(LOOPBACK, at.dns_stream)
        for at_byte in range(len(said)):
            writer.write(said[at_byte : at_byte + 1])
        answers = []
        async with asyncio.timeout(5):
            for _ in range(2):
                size = int.from_bytes(await reader.readexactly(2))
                answers.append(read(await reader.readexactly(size)))
        writer.close()
        assert answers == [(0, "198.18.0.1"), (3, None)]
        assert await talk(at.dns_stream, b"\xff\xff" + bytes(4000)) == b""


async def test_names_of_a_machine() -> None:
    async with rig(Limits(names_max=2)) as at:
        at.policy = Policy(rules=allow("*.wild.test"))
        assert [await ask(at, f"{n}.wild.test") for n in "abca"] == [
            (0, "198.18.0.1"),
            (0, "198.18.0.2"),
            (5, None),
            (0, "198.18.0.1"),
        ]


async def test_questions_per_second() -> None:
    async with rig(Limits(questions_per_second_max=0.001, questions_burst_max=3)) as at:
        at.policy = Policy(rules=allow("pkg.test"))
        for _ in range(3):
            assert (await ask(at, "pkg.test"))[0] == 0
        with pytest.raises(TimeoutError):
            await ask(at, "pkg.test", seconds=0.3)


async def test_an_address_is_kept_by_whoever_remembers_it() -> None:
    async with rig() as at:
        at.policy = Policy(rules=allow("a.test", "b.test"))
        await ask(at, "a.test")
        await ask(at, "b.test")
        await at.gateway.detach(at.who.machine)
        await at.attach()
        assert await ask(at, "b.test") == (0, "198.18.0.2")


async def test_when_the_policy_can_not_be_looked_up_the_machine_asks_again() -> None:
    async with rig() as at:

        async def away(_who: Identity) -> Access:
            raise Unreachable("What this machine may reach can't be looked up now.")

        at.access = away  # type: ignore[method-assign]
        assert await ask(at, "pkg.test") == (2, None)
        head = b"GET http://pkg.test/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await talk(at.proxy, head)
    assert answer.startswith(b"HTTP/1.1 502 What this machine may reach can't be looked up now.")
