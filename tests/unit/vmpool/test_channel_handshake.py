"""The host's side of the words before SSH, against streams that behave badly."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.flood import flooded, nobody_waits_longer_than
from vmpool import handshake
from vmpool.errors import MachineBusy, MachineError, MachineLost, StaleToken
from vmpool.handshake import Hello, Words, greet, parse
from vmpool.storable import SENTENCE_CHARACTERS_MAX

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HELLO = {"op": "hello", "protocol": 1, "boot": "b", "generation": 2, "token": 3}


class Stage:
    """Hands out streams; the n-th connection meets the n-th behaviour, the last one stays."""

    def __init__(self, behaviours: list[Behaviour]) -> None:
        self.behaviours = behaviours
        self.connections = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> socket.socket:
        behaviour = self.behaviours[min(self.connections, len(self.behaviours) - 1)]
        self.connections += 1
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=theirs)

        async def act() -> None:
            try:
                await behaviour(reader, writer)
            finally:
                writer.close()

        self.tasks.append(asyncio.create_task(act()))
        return ours


@asynccontextmanager
async def stage(*behaviours: Behaviour) -> AsyncIterator[Stage]:
    made = Stage(list(behaviours))
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def heard(reader: asyncio.StreamReader) -> dict[str, Any]:
    while True:
        line = await reader.readuntil(b"\n")
        if line.strip():
            word: dict[str, Any] = json.loads(line)
            return word


def say(writer: asyncio.StreamWriter, nonce: str, **words: Any) -> None:
    writer.write(json.dumps({**words, "nonce": nonce}).encode() + b"\n")


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        word = await heard(reader)
        answer = {"hello": "hello", "thaw": "thawed", "ssh": "ok", "freeze": "frozen"}[word["op"]]
        say(writer, word["nonce"], **(HELLO if answer == "hello" else {"op": answer}))


async def noisy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xffSSH-2.0-old\r\n" + bytes(range(256)) * 200)
    say(writer, "somebody-elses", **HELLO)
    writer.write(b"half a line of ciphertext")
    await good(reader, writer)


async def test_the_answer_with_our_nonce_is_found_behind_old_bytes() -> None:
    async with stage(noisy) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
        assert words.hello == Hello(boot="b", generation=2, token=3)
        await words.freeze()
        words.close()


async def test_a_silent_stream_is_made_anew() -> None:
    async with stage(silent, good) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=10)
        assert made.connections == 2
        words.close()


async def test_a_stream_that_ends_at_once_is_made_anew() -> None:
    async def ends(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        return

    async with stage(ends, ends, good) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=10)
        assert made.connections == 3
        words.close()


async def test_hello_is_repeated_until_somebody_listens() -> None:
    async def deaf_at_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        await heard(reader)
        await good(reader, writer)

    async with stage(deaf_at_first) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
        assert made.connections == 1
        words.close()


async def test_nobody_answering_ends_at_the_deadline() -> None:
    async with stage(silent) as made:
        with pytest.raises(MachineLost, match=r"within 0\.5 seconds"):
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=0.5)


async def test_noise_for_ever_ends_at_the_deadline_too() -> None:
    async def babbling(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"\xff" * 65536)
            await writer.drain()

    async with stage(babbling) as made:
        with pytest.raises(MachineLost):
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=0.7)


STALL_SECONDS_MAX = 1.0
FLOODS = [b"\n" * 65536, b"\xff" * 65536, b'{"op": "hello"}\n' * 4000]


@pytest.mark.parametrize("what", FLOODS)
async def test_a_guest_that_floods_its_stream_keeps_nobody_else_waiting(what: bytes) -> None:
    with flooded(what) as sock:

        async def connect() -> socket.socket:
            return sock

        async with nobody_waits_longer_than(STALL_SECONDS_MAX):
            with pytest.raises(MachineLost):
                await greet(connect, machine_id="m", token=3, deadline_seconds=0.7)


@pytest.mark.parametrize("what", FLOODS)
async def test_a_guest_that_floods_instead_of_an_answer_keeps_nobody_else_waiting(
    what: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Words._say.__kwdefaults__, "seconds_max", 0.7)
    with flooded(what) as sock:
        words = Words(sock, "n", Hello(boot="b", generation=2, token=3))
        async with nobody_waits_longer_than(STALL_SECONDS_MAX):
            with pytest.raises(MachineLost):
                await words.ssh()


async def test_an_answer_that_comes_in_pieces_is_put_together() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer, (await heard(reader))["nonce"], **HELLO)
        nonce = (await heard(reader))["nonce"]
        for byte in json.dumps({"op": "ok", "nonce": nonce}).encode() + b"\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()

    async with stage(slow) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
        await words.ssh()
        words.close()


async def test_an_answer_without_an_end_is_noise() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer, (await heard(reader))["nonce"], **HELLO)
        await heard(reader)
        writer.write(b"x" * (handshake.LINE_BYTES_MAX + 2))
        await reader.read()

    async with stage(endless) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
        with pytest.raises(MachineLost, match="noise"):
            await words.ssh()
        words.close()


async def test_what_a_guest_says_of_a_refusal_can_be_kept() -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = await heard(reader)
        say(writer, word["nonce"], op="refused", why="no\x00\ud800" + "!" * 60_000)
        await reader.read()

    async with stage(rude) as made:
        with pytest.raises(MachineLost, match="refused hello: no") as refused:
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
    said = str(refused.value)
    assert "\x00" not in said
    assert said.encode()
    assert len(said) <= SENTENCE_CHARACTERS_MAX


async def test_a_taken_stream_is_asked_for_again() -> None:
    async with stage(good) as made:
        refusals = iter([MachineBusy("taken"), MachineBusy("taken")])

        async def connect() -> socket.socket:
            error = next(refusals, None)
            if error is not None:
                raise error
            return await made.connect()

        words = await greet(connect, machine_id="m", token=3, deadline_seconds=5)
        words.close()


async def test_a_hypervisor_that_does_not_answer_is_asked_again_until_the_deadline() -> None:
    async with stage(good) as made:
        refusals = iter([MachineError("it does not answer"), MachineError("it does not answer")])

        async def connect() -> socket.socket:
            error = next(refusals, None)
            if error is not None:
                raise error
            return await made.connect()

        words = await greet(connect, machine_id="m", token=3, deadline_seconds=5)
        words.close()

    async def never() -> socket.socket:
        raise MachineError("it does not answer")

    with pytest.raises(MachineLost, match=r"within 0\.5 seconds"):
        await greet(never, machine_id="m", token=3, deadline_seconds=0.5)


async def test_a_stale_token_is_told_apart_from_a_lost_machine() -> None:
    async def newer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = await heard(reader)
        say(writer, word["nonce"], op="refused", why="stale token")
        await reader.read()

    async def older(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = await heard(reader)
        say(writer, word["nonce"], op="refused", why="protocol 2 only")
        await reader.read()

    async with stage(newer) as made:
        with pytest.raises(StaleToken):
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
    async with stage(older) as made:
        with pytest.raises(MachineLost, match="protocol 2 only"):
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)


@pytest.mark.parametrize(
    "lie",
    [
        {"op": "hello"},
        {**HELLO, "generation": "many"},
        {**HELLO, "generation": None},
        {**HELLO, "token": [3]},
        {**HELLO, "generation": float("inf")},
    ],
)
async def test_a_hello_that_is_none_is_a_lost_machine(lie: dict[str, Any]) -> None:
    async def liar(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer, (await heard(reader))["nonce"], **lie)
        await reader.read()

    async with stage(liar) as made:
        with pytest.raises(MachineLost, match="answered hello with what is none"):
            await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)


async def test_no_byte_after_the_last_answer_is_taken_from_ssh() -> None:
    async def eager(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        say(writer, (await heard(reader))["nonce"], **HELLO)
        nonce = (await heard(reader))["nonce"]
        # A second answer to a repeated hello, the answer to ssh and SSH's first bytes at once.
        say(writer, nonce, **HELLO)
        say(writer, nonce, op="ok")
        writer.write(b"SSH-2.0-guest\r\n")
        await reader.read()

    async with stage(eager) as made:
        words = await greet(made.connect, machine_id="m", token=3, deadline_seconds=5)
        await words.ssh()
        assert await asyncio.get_running_loop().sock_recv(words.socket, 100) == b"SSH-2.0-guest\r\n"
        words.close()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"op": "hello", "nonce": "n"}', True),
        (b'\xff\xffold{"op": "hello", "nonce": "n"}', True),
        (b'{"op": "hello", "nonce": "other"}', False),
        (b'{"nonce": "n"}', False),
        (b'["op", "nonce"]', False),
        (b'{"op": [], "nonce": "n"}', False),
        (b'{"op": {"hello": 1}, "nonce": "n"}', False),
        (b"", False),
        (b"\xff", False),
        (b"[" * 60_000, False),
    ],
)
def test_only_an_answer_to_our_nonce_is_a_word(line: bytes, found: bool) -> None:
    assert (parse(line, "n") is not None) is found
