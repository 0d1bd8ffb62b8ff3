"""The control connection, against a scripted peer on a socket pair."""

import array
import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.flood import flooded, nobody_waits_longer_than
from vmpool.drivers.qemu import qmp as qmp_module
from vmpool.drivers.qemu.qmp import Qmp, QmpClosed, QmpError, describe_version

GREETING = {
    "QMP": {
        "version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": "Debian 1"},
        "capabilities": ["oob"],
    }
}


class Peer:
    """The other end: reads commands, says what the test wants."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fds: list[int] = []
        self._rest = b""

    async def say(self, *messages: dict[str, Any]) -> None:
        data = b"".join(json.dumps(message).encode() + b"\r\n" for message in messages)
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def command(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            await self._receive()
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.sock, ready.set_result, None)
        await ready
        loop.remove_reader(self.sock)
        size = array.array("i").itemsize
        data, ancillary, _, _ = self.sock.recvmsg(65536, socket.CMSG_LEN(size))
        for _, _, raw in ancillary:
            self.fds += array.array("i", raw)
        self._rest += data


@pytest.fixture
async def peer_and_qmp() -> AsyncIterator[tuple[Peer, Qmp]]:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
    peer = Peer(theirs)
    await peer.say(GREETING)
    async with asyncio.TaskGroup() as group:
        greeting = group.create_task(Qmp.greet(ours, seconds_max=5))
        command = await peer.command()
        assert command["execute"] == "qmp_capabilities"
        await peer.say({"return": {}, "id": command["id"]})
    yield peer, greeting.result()
    await greeting.result().close()
    theirs.close()


PeerAndQmp = tuple[Peer, Qmp]


async def test_the_greeting_says_which_build_answers(peer_and_qmp: PeerAndQmp) -> None:
    assert peer_and_qmp[1].version == "7.2.22 (Debian 1)"


def test_a_build_without_a_package_is_spelled_by_its_number() -> None:
    assert describe_version({"qemu": {"major": 10, "minor": 0, "micro": 2}}) == "10.0.2"


async def test_a_command_returns_what_it_returned(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    async with asyncio.TaskGroup() as group:
        answer = group.create_task(qmp.execute("query-status", {"deep": True}))
        command = await peer.command()
        assert command["arguments"] == {"deep": True}
        await peer.say({"return": {"running": True}, "id": command["id"]})
    assert answer.result() == {"running": True}


async def test_a_refusal_carries_qemus_sentence(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    answer = asyncio.ensure_future(qmp.execute("cont"))
    command = await peer.command()
    await peer.say({"error": {"class": "GenericError", "desc": "no way"}, "id": command["id"]})
    with pytest.raises(QmpError, match="QEMU refused cont: no way"):
        await answer


async def test_answers_in_another_order_reach_their_askers(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    async with asyncio.TaskGroup() as group:
        first = group.create_task(qmp.execute("one"))
        second = group.create_task(qmp.execute("two"))
        commands = [await peer.command(), await peer.command()]
        for command in reversed(commands):
            await peer.say({"return": command["execute"], "id": command["id"]})
    assert (first.result(), second.result()) == ("one", "two")


async def test_a_descriptor_travels_with_its_command(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    reader, writer = os.pipe()
    async with asyncio.TaskGroup() as group:
        group.create_task(qmp.execute("getfd", {"fdname": "memory"}, fds=[writer]))
        command = await peer.command()
        await peer.say({"return": {}, "id": command["id"]})
    os.close(writer)
    os.write(peer.fds[0], b"through")
    assert os.read(reader, 10) == b"through"
    os.close(reader)
    os.close(peer.fds[0])


async def test_subscribers_get_their_events_and_no_others(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    with qmp.subscribed("MIGRATION") as events:
        await peer.say(
            {"event": "STOP"},
            {"event": "MIGRATION", "data": {"status": "active"}},
            {"event": "MIGRATION", "data": {"status": "completed"}},
        )
        seen = [await events.get(), await events.get()]
    assert [event and event["data"]["status"] for event in seen] == ["active", "completed"]
    assert [event["event"] for event in qmp.events] == ["STOP", "MIGRATION", "MIGRATION"]


async def test_the_end_of_qemu_reaches_everybody_who_waits(peer_and_qmp: PeerAndQmp) -> None:
    peer, qmp = peer_and_qmp
    with qmp.subscribed("MIGRATION") as events:
        answer = asyncio.ensure_future(qmp.execute("query-status"))
        await peer.command()
        peer.sock.close()
        with pytest.raises(QmpClosed):
            await answer
        assert await events.get() is None
    assert qmp.closed
    with pytest.raises(QmpClosed):
        await qmp.execute("query-status")


async def test_an_answer_that_does_not_come_ends_the_connection(peer_and_qmp: PeerAndQmp) -> None:
    _, qmp = peer_and_qmp
    with pytest.raises(QmpClosed, match="did not answer query-status"):
        await qmp.execute("query-status", seconds_max=0.05)
    assert qmp.closed


async def test_a_peer_that_never_greets_is_given_up() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with pytest.raises(QmpClosed, match="no greeting"):
        await Qmp.greet(ours, seconds_max=0.05)
    theirs.close()


@pytest.mark.parametrize("said", [b"not json\n", b'{"hello": 1}\n', b'{"QMP": {}}\n'])
async def test_a_peer_that_says_something_else_is_given_up(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(said)
    with pytest.raises(QmpClosed, match="no greeting"):
        await Qmp.greet(ours, seconds_max=5)
    theirs.close()


async def test_an_endless_line_ends_the_connection(
    peer_and_qmp: PeerAndQmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp_module, "LINE_BYTES_MAX", 1000)
    peer, qmp = peer_and_qmp
    answer = asyncio.ensure_future(qmp.execute("query-status"))
    await peer.command()
    await asyncio.get_running_loop().sock_sendall(peer.sock, b"x" * 5000)
    with pytest.raises(QmpClosed):
        await answer


@pytest.mark.parametrize("what", [b"\n" * 65536, b'{"event": "RESUME"}\n' * 3000])
async def test_a_peer_that_floods_keeps_nobody_else_waiting(what: bytes) -> None:
    with flooded(what, first=json.dumps(GREETING).encode() + b"\n") as sock:
        async with nobody_waits_longer_than(1.0):
            with pytest.raises(QmpClosed):
                await Qmp.greet(sock, seconds_max=0.7)
