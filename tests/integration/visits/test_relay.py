"""The relay of a host: what it lets in, what it does not, and what turns see of it."""

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from bot import relaying
from bot.config import Settings, VisitSettings
from bot.errors import NotFound, OnaError, TryAgain
from bot.govern.visit_grants import read_key, signed
from bot.ground import Ground
from bot.supervisor import Signals
from bot.work import relay as relay_module
from bot.work.relay_words import LINE_BYTES_MAX, line, within
from bot.work.relays import Relays
from tests.integration.visits.conftest import Street
from tests.support.visits import LIMITS, SECONDS, say_relay
from vmpool.machine import MachineState


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A program that listens in the machine, which is this host, and says back what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_a_port_carries_bytes_both_ways_and_their_end(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session(resting=True)
    async with echo() as port:
        opened = await street.open(session_id, "port", port)
        sent = bytes(range(256)) * 8192
        opened.writer.write(sent)
        opened.writer.write_eof()
        assert await asyncio.wait_for(opened.reader.read(-1), SECONDS) == sent
        opened.close()


async def test_nothing_listens_on_the_port(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(NotFound, match="Nothing listens on port"):
            await street.open(session_id, "port", free.getsockname()[1])


async def test_a_turn_comes_and_goes_while_somebody_visits(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session(resting=True)
    async with echo() as port:
        opened = await street.open(session_id, "port", port)

        async def said(word: bytes) -> bytes:
            opened.writer.write(word)
            return await asyncio.wait_for(opened.reader.readexactly(len(word)), SECONDS)

        assert await said(b"before") == b"before"
        async with street.yard.open(session_id) as turn:
            done = await turn.channel.run(["echo", "turn"], timeout_seconds=SECONDS)
            assert done.stdout == b"turn\n"
            assert await said(b"during") == b"during"
            second = await street.open(session_id)
            assert (await second.reader.readline()).startswith(b"SSH-2.0")
            second.close()
        assert await said(b"after") == b"after"
        machine_id = turn.machine_id
        assert not await street.yard.pool.rest(machine_id), "somebody is in it"
        opened.close()
        async with asyncio.timeout(SECONDS):
            while not await street.yard.pool.rest(machine_id):
                await asyncio.sleep(0.02)
    assert await street.state(session_id) is MachineState.RESTING


async def test_several_who_come_at_once_wake_a_machine_once(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session(resting=True)
    async with echo() as port:
        visits = await asyncio.gather(
            *(street.open(session_id, "port", port) for _ in range(5)), street.open(session_id)
        )
    machine = await street.yard.registry.of_session(session_id)
    assert machine is not None
    assert (machine.state, machine.generation) == (MachineState.RUNNING, 2)
    for opened in visits:
        opened.close()


async def test_a_machine_that_is_to_be_destroyed_does_not_wait_for_visitors(
    street: Street,
) -> None:
    await street.relay()
    session_id, _ = await street.session()
    opened = await street.open(session_id)
    machine = await street.yard.registry.of_session(session_id)
    assert machine is not None
    await street.yard.put(machine.id, request="rest")
    await street.yard.pool.obey()
    assert await street.state(session_id) is MachineState.RUNNING
    await street.yard.put(machine.id, request="destroy")
    await street.yard.pool.obey()
    assert await street.yard.state(machine.id) is MachineState.GONE
    assert await asyncio.wait_for(opened.reader.read(-1), SECONDS) is not None
    opened.close()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (replace(LIMITS, connections_max=2), "this host"),
        (replace(LIMITS, session_connections_max=2), "one session"),
    ],
)
async def test_no_more_than_so_many_come_in(street: Street, limits: object, words: str) -> None:
    await street.relay(limits=limits)
    session_id, _ = await street.session()
    first, second = [await street.open(session_id) for _ in range(2)]
    with pytest.raises(TryAgain, match=f"2 connections.*{words}"):
        await street.open(session_id)
    first.close()
    async with asyncio.timeout(SECONDS):
        while True:
            with suppress(TryAgain):
                third = await street.open(session_id)
                break
            await asyncio.sleep(0.02)
    third.close()
    second.close()


async def test_who_says_nothing_for_long_is_sent_away(street: Street) -> None:
    await street.relay(limits=replace(LIMITS, idle_seconds=0.3))
    session_id, _ = await street.session()
    async with echo() as port:
        opened = await street.open(session_id, "port", port)
        assert await asyncio.wait_for(opened.reader.read(-1), SECONDS) == b""
        opened.close()


async def test_who_does_not_read_is_not_read_for(street: Street) -> None:
    """What is on its way is bounded, so a program in the machine that says much waits."""
    await street.relay()
    session_id, _ = await street.session()
    written = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                written += 65536

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        opened = await street.open(session_id, "port", server.sockets[0].getsockname()[1])
        before = -1
        async with asyncio.timeout(SECONDS):
            while written != before:
                before = written
                await asyncio.sleep(0.5)
        # The kernel's own buffers of three sockets are in it.
        assert 0 < written < 32 * 1024 * 1024
        opened.close()


async def test_what_is_no_grant_or_no_line_is_sent_away(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "HELLO_SECONDS_MAX", 0.5)
    await street.relay()
    session_id, _ = await street.session()
    path = street.directory / "relay.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    key = await read_key(street.site.database)
    good = signed(key, street.grant(session_id))
    for said, answer in (
        (line(grant=good), b'"open": true'),
        (line(grant=good), b"used before"),
        (line(grant="x"), b"not signed"),
        (line(), b"not signed"),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"[]\n", b""),
        (b'"' + b"x" * LINE_BYTES_MAX + b'"\n', b""),
        (b"", b""),
    ):
        with within(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        writer.write(said)
        heard = await asyncio.wait_for(reader.readline(), SECONDS)
        assert answer in heard, said
        assert bool(answer) == bool(heard)
        writer.close()


async def test_a_key_that_is_none_is_refused(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session()
    grant = street.grant(session_id, "certificate")
    for key in ("", "ssh-ed25519 AAAA", "x" * 3000):
        with pytest.raises(OnaError, match="no OpenSSH public key"):
            await Relays(street.site.database).open(grant, public_key=key)


async def test_over_tls_only_the_relay_that_the_database_knows_is_spoken_to(
    street: Street,
) -> None:
    street.directory.mkdir()
    tls, fingerprint = relaying._certificate(street.directory)
    await street.relay(address=("127.0.0.1", 0), tls=tls)
    ((address,),) = await street.site.rows("SELECT address FROM relay")
    elsewhere = street.directory / "of-another-host" / "relay.sock"
    session_id, _ = await street.session()
    await say_relay(street.site.database, street.site, elsewhere, address, fingerprint)
    opened = await street.open(session_id)
    assert (await opened.reader.readline()).startswith(b"SSH-2.0")
    opened.close()
    wrong = hashlib.sha256(b"another").hexdigest()
    await say_relay(street.site.database, street.site, elsewhere, address, wrong)
    with pytest.raises(TryAgain, match="does not answer"):
        await street.open(session_id)
    await say_relay(street.site.database, street.site, elsewhere)
    with pytest.raises(TryAgain, match="takes no visitors from here"):
        await street.open(session_id)


async def test_a_socket_of_another_host_is_not_taken_for_this_ones(street: Street) -> None:
    await street.relay()
    session_id, _ = await street.session()
    (street.directory / "host-id").write_text(f"{session_id}\n")
    with pytest.raises(TryAgain, match="takes no visitors"):
        await street.open(session_id)


async def test_who_is_inside_is_sent_away_when_the_process_ends(street: Street) -> None:
    session_id, _ = await street.session()
    await street.relay()
    opened = await street.open(session_id)
    await street.stack.aclose()
    await asyncio.wait_for(opened.reader.read(-1), SECONDS)
    assert not (street.directory / "relay.sock").exists()
    opened.close()


def test_words_are_one_line() -> None:
    assert json.loads(line(step="a\nb")) == {"step": "a\nb"}
    assert line(step="a\nb").count(b"\n") == 1


async def test_the_settings_open_it_to_processes_of_other_hosts(street: Street) -> None:
    settings = Settings(data_dir=street.directory, visits=VisitSettings(listen="127.0.0.1:0"))
    settings.host_dir.mkdir(parents=True)
    base = Ground(
        settings=settings,
        database=street.site.database,
        listener=street.site.services.listener,
        signals=Signals(),
        owner="here",
    )
    session_id, _ = await street.session()
    async with relaying.relay_open(
        base,
        street.site.host_id,
        pool=street.yard.pool,
        registry=street.yard.registry,
        authority=street.authority,
    ):
        ((path, address, fingerprint),) = await street.site.rows(
            "SELECT socket, address, fingerprint FROM relay"
        )
        name, _, port = address.rpartition(":")
        assert (path, name) == (str(settings.host_dir / "relay.sock"), os.uname().nodename)
        assert sorted(one.name for one in settings.host_dir.iterdir()) == ["relay.sock"]
        # There is no `host-id` beside the socket, as if it were another host's: it goes by TLS.
        await street.site.rows(f"UPDATE relay SET address = '127.0.0.1:{port}'")
        opened = await street.open(session_id)
        assert (await opened.reader.readline()).startswith(b"SSH-2.0")
        base.signals.stop.set()
        await asyncio.wait_for(opened.reader.read(-1), SECONDS)
        opened.close()
    assert len(fingerprint) == 64
