"""Answers what a machine asks its resolver. No question ever goes further.

A name that the policy allows has an address of its own in the machine's private range; every other
name does not exist. So a question carries nothing out, whatever it is made of.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import structlog

from vmpool.network.gateway.attached import GATEWAY, Attached
from vmpool.network.gateway.dns import (
    MESSAGE_BYTES_MAX,
    A,
    Code,
    NoQuestion,
    read_question,
    write_answer,
)
from vmpool.network.gateway.limits import Bucket
from vmpool.network.gateway.link import Link
from vmpool.network.hosts import BadHost, normalise
from vmpool.network.policy import Decision, decide, open_ports
from vmpool.network.slot import HOST_ADDRESS, TLS_PORT

log = structlog.get_logger(__name__)

REMEMBERED_SECONDS = 60
AT_ONCE_MAX = 64
DATAGRAMS_A_TURN = 16
Start = Callable[[Coroutine[Any, Any, None]], None]


class Asked:
    """The resolver of one machine."""

    def __init__(self, at: Attached) -> None:
        self._at = at
        limits = at.limits
        self._bucket = Bucket(limits.questions_per_second_max, limits.questions_burst_max)
        self._open = 0

    async def answer(self, message: bytes) -> bytes | None:
        """Answer a message; None: it gets no answer."""
        try:
            question = read_question(message)
        except NoQuestion:
            return None
        if question.code is not Code.DONE:
            return write_answer(question, question.code)
        try:
            code, address = await self._look_up(question.name)
        except Exception as error:
            # Whoever knows the policy or the names can't be asked now; the machine asks again.
            log.warning("name_not_looked_up", machine=str(self._at.who.machine), error=str(error))
            return write_answer(question, Code.FAILED)
        shown = address if question.kind == A else None
        return write_answer(question, code, shown, seconds=REMEMBERED_SECONDS)

    async def _look_up(self, asked: str) -> tuple[Code, IPv4Address | None]:
        try:
            name = normalise(asked)
        except BadHost:
            return Code.NO_SUCH_NAME, None
        if name == GATEWAY:
            return Code.DONE, IPv4Address(HOST_ADDRESS)
        policy = (await self._at.access()).policy
        ports = open_ports(policy, name)
        if not ports:
            # Which port is meant nobody says here; whoever gets an address asks for its own later.
            refusal = await self._at.asked(decide(policy, name, TLS_PORT), name, TLS_PORT)
            self._at.note("dns", name, 0, Decision(False, refusal.reason))
            return Code.NO_SUCH_NAME, None
        address = await self._at.names.address(name)
        if address is None:
            why = f"{name} gets no address: this machine has {self._at.limits.names_max} names."
            self._at.note("dns", name, 0, Decision(False, why))
            return Code.REFUSED, None
        await self._at.open_name(name, ports)
        return Code.DONE, address

    def datagrams(self, sock: socket.socket, start: Start) -> None:
        """Read what has come, and answer it; what is too much is dropped."""
        for _ in range(DATAGRAMS_A_TURN):
            try:
                message, sender = sock.recvfrom(MESSAGE_BYTES_MAX + 1)
            except OSError:
                return
            if self._open < AT_ONCE_MAX and self._bucket.offer(1):
                self._open += 1
                start(self._send(sock, message, sender))

    async def _send(self, sock: socket.socket, message: bytes, sender: Any) -> None:
        try:
            answer = await self.answer(message)
            if answer is not None:
                with suppress(OSError):
                    sock.sendto(answer, sender)
        finally:
            self._open -= 1

    async def stream(self, link: Link) -> None:
        """Answer the questions of one TCP connection, RFC 7766."""
        limits = self._at.limits
        while True:
            async with asyncio.timeout(limits.head_seconds_max):
                message = await _framed(link)
            if message is None:
                return
            await asyncio.sleep(self._bucket.take(1))
            answer = await self.answer(message)
            if answer is None:
                return
            await link.send(len(answer).to_bytes(2) + answer)


async def _framed(link: Link) -> bytes | None:
    """A message behind its length; None: the stream ended, or the message is too long."""
    while len(link.held) < 2 or len(link.held) < 2 + int.from_bytes(link.held[:2]):
        if len(link.held) >= 2 and int.from_bytes(link.held[:2]) > MESSAGE_BYTES_MAX:
            return None
        if not await link.more():
            return None
    end = 2 + int.from_bytes(link.held[:2])
    message, link.held = link.held[2:end], link.held[end:]
    return message
