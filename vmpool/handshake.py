"""The words before SSH, as the host says them: hello, thaw, ssh, freeze.

    connect ─▶ hello (repeated until the answer with our nonce comes) ─▶ thaw ─▶ ssh ─▶ SSH
                                                                     └▶ freeze ─▶ frozen

The stream may begin with bytes of an earlier connection, so everything is skipped until our own
nonce is seen. Each connection has a nonce of its own and each read a deadline; a connection that
stays silent is closed and made anew after a pause, without which the guest may not see the gap.

A guest may write as fast as it likes: a read of what is there already does not wait, so that
deadlines, and whatever else this process does, get their turn before each.
"""

import asyncio
import base64
import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vmpool.errors import MachineError, MachineLost, StaleToken
from vmpool.ssh import HostIdentity

PROTOCOL = 1
HELLO_SECONDS = 0.2
ATTEMPT_SECONDS = 1.5
GAP_SECONDS = 0.3
WORD_SECONDS_MAX = 15.0
FREEZE_SECONDS_MAX = 120.0
"""Writing back what is dirty takes as long as the host's disk takes."""
ENTROPY_BYTES = 64
READ_BYTES = 64 * 1024
LINE_BYTES_MAX = 64 * 1024
STALE_TOKEN = "stale token"

Connect = Callable[[], Awaitable[socket.socket]]


@dataclass(frozen=True, kw_only=True)
class Hello:
    """How the guest answered: which boot it is, and what it last saw."""

    boot: str
    generation: int
    token: int


class Words:
    """A connection on which the guest has answered our hello; close it or hand it to SSH."""

    def __init__(self, sock: socket.socket, nonce: str, hello: Hello) -> None:
        self.socket = sock
        self.hello = hello
        self._nonce = nonce

    async def thaw(
        self, *, machine_id: str, generation: int, host: HostIdentity, user_ca: str
    ) -> None:
        """Set clock, entropy, identity and generation.

        :raises MachineLost: the guest refused or didn't answer; it must be destroyed
        """
        identity = {
            "machine": machine_id,
            "hostname": host.hostname.partition(".")[0],
            "host_key": host.private_key,
            "host_certificate": host.certificate,
            "user_ca": user_ca,
        }
        await self._say(
            "thaw",
            "thawed",
            generation=generation,
            identity=identity,
            entropy=base64.b64encode(secrets.token_bytes(ENTROPY_BYTES)).decode(),
            time=time.time(),
        )

    async def ssh(self) -> None:
        """Give the stream to the guest's sshd. :raises MachineLost: refused or silent."""
        await self._say("ssh", "ok")

    async def freeze(self) -> None:
        """End logins, write back, let jobs stand still until the next thaw.

        The machine may be hibernated after. :raises MachineLost:
        """
        await self._say("freeze", "frozen", seconds_max=FREEZE_SECONDS_MAX)

    def close(self) -> None:
        """Hang up; idempotent."""
        self.socket.close()

    async def _say(
        self, op: str, expected: str, *, seconds_max: float = WORD_SECONDS_MAX, **words: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        line = json.dumps({"op": op, "nonce": self._nonce, **words}).encode() + b"\n"
        try:
            async with asyncio.timeout(seconds_max):
                await loop.sock_sendall(self.socket, line)
                answer = await self._answer(expected)
        except TimeoutError:
            raise MachineLost(f"The machine did not answer to {op}.") from None
        except OSError as error:
            raise MachineLost(f"The machine's stream broke at {op}: {error}.") from error
        if answer["op"] == "refused":
            raise MachineLost(f"The machine refused to {op}: {answer.get('why')}.")

    async def _answer(self, expected: str) -> dict[str, Any]:
        """Line by line: what follows the last answer belongs to SSH."""
        while True:
            word = parse(await self._line(), self._nonce)
            if word is not None and word["op"] in {expected, "refused"}:
                return word

    async def _line(self) -> bytes:
        """The next line, and not a byte of what follows it."""
        loop = asyncio.get_running_loop()
        line = bytearray()
        while not line.endswith(b"\n"):
            if len(line) > LINE_BYTES_MAX:
                raise MachineLost("The machine answered with noise.")
            await asyncio.sleep(0)
            data = await loop.sock_recv(self.socket, 1)
            if not data:
                raise MachineLost("The machine hung up.")
            line += data
            if data != b"\n":
                line += _rest_of_line(self.socket)
        return bytes(line)


def _rest_of_line(sock: socket.socket) -> bytes:
    """What is there already of a line, up to its end."""
    with suppress(BlockingIOError):
        there = sock.recv(READ_BYTES, socket.MSG_PEEK)
        return sock.recv(there.find(b"\n") + 1 or len(there)) if there else b""
    return b""


async def greet(connect: Connect, *, machine_id: str, token: int, deadline_seconds: float) -> Words:
    """Connect and say hello until the guest answers.

    :raises StaleToken: the guest has seen a higher lease token
    :raises MachineLost: no answer within the deadline, or the process is gone
    """
    try:
        async with asyncio.timeout(deadline_seconds):
            while True:
                words = await _attempt(connect, machine_id, token)
                if words is not None:
                    return words
                await asyncio.sleep(GAP_SECONDS)
    except TimeoutError:
        raise MachineLost(
            f"The machine did not answer within {deadline_seconds:g} seconds."
        ) from None


async def _attempt(connect: Connect, machine_id: str, token: int) -> Words | None:
    try:
        sock = await connect()
    except MachineLost:
        raise
    except MachineError:
        # Busy, or a hypervisor that does not answer: it may yet, until the deadline.
        return None
    nonce = secrets.token_hex(16)
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            answer = await _hello(sock, nonce, machine_id, token)
    except (TimeoutError, OSError):
        answer = None
    except BaseException:
        sock.close()
        raise
    if answer is None or answer["op"] == "refused":
        sock.close()
    if answer is None:
        return None
    if answer["op"] == "refused":
        why = answer.get("why")
        if why == STALE_TOKEN:
            raise StaleToken(f"Machine {machine_id} was taken over by a newer lease.")
        raise MachineLost(f"Machine {machine_id} refused hello: {why}.")
    try:
        return Words(sock, nonce, _said(answer))
    except (KeyError, TypeError, ValueError, OverflowError):
        sock.close()
        raise MachineLost(f"Machine {machine_id} answered hello with what is none.") from None


def _said(answer: dict[str, Any]) -> Hello:
    return Hello(
        boot=str(answer["boot"]),
        generation=int(answer["generation"]),
        token=int(answer["token"]),
    )


async def _hello(
    sock: socket.socket, nonce: str, machine_id: str, token: int
) -> dict[str, Any] | None:
    loop = asyncio.get_running_loop()
    line = (
        json.dumps(
            {
                "op": "hello",
                "protocol": PROTOCOL,
                "nonce": nonce,
                "token": token,
                "machine": machine_id,
            }
        ).encode()
        + b"\n"
    )
    # The leading newline ends whatever half line an earlier connection left with the guest.
    line = b"\n" + line
    buffer = bytearray()
    while True:
        await loop.sock_sendall(sock, line)
        due = loop.time() + HELLO_SECONDS
        while (left := due - loop.time()) > 0:
            await asyncio.sleep(0)
            try:
                async with asyncio.timeout(left):
                    data = await loop.sock_recv(sock, READ_BYTES)
            except TimeoutError:
                break
            if not data:
                return None
            word = _find(buffer, data, nonce)
            if word is not None:
                return word


def _find(buffer: bytearray, data: bytes, nonce: str) -> dict[str, Any] | None:
    *lines, rest = bytes(buffer + data).split(b"\n")
    buffer[:] = rest if len(rest) <= LINE_BYTES_MAX else b""
    ours = nonce.encode()
    # Noise may be as many lines as it has bytes: only what names us is worth reading as JSON.
    for line in [line for line in lines if ours in line]:
        word = parse(line, nonce)
        if word is not None and word["op"] in {"hello", "refused"}:
            return word
    return None


def parse(line: bytes, nonce: str) -> dict[str, Any] | None:
    """The word in a line, if it is one and an answer to this nonce."""
    try:
        # Old bytes may stand before the word in the same line.
        word = json.loads(line[max(0, line.find(b'{"op"')) :])
    except (ValueError, RecursionError):
        return None
    if not isinstance(word, dict) or word.get("nonce") != nonce:
        return None
    return word if isinstance(word.get("op"), str) else None
