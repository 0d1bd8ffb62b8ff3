"""The server's half of a WebSocket (RFC 6455), as far as a tunnel needs it: bytes and their end.

What comes in messages is one stream of bytes, however it is cut. Extensions are not offered.
"""

import asyncio
import base64
import hashlib
import json
from typing import Any

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
FRAME_BYTES_MAX = 1024 * 1024
CONTROL_BYTES_MAX = 125
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GOING_AWAY, PROTOCOL_ERROR, TOO_BIG = 1001, 1002, 1009
_FINAL, _MASKED = 0x80, 0x80


class BadFrame(ConnectionError):
    """The client speaks something else; `code` is what it is told."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def accepted(key: str) -> str:
    """What the client's key is answered, so that it knows that a WebSocket server spoke."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def frame(opcode: int, payload: bytes) -> bytes:
    """One whole message of a server."""
    length = len(payload)
    if length < 126:
        head = bytes([_FINAL | opcode, length])
    elif length < 1 << 16:
        head = bytes([_FINAL | opcode, 126]) + length.to_bytes(2)
    else:
        head = bytes([_FINAL | opcode, 127]) + length.to_bytes(8)
    return head + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The client's next frame: opcode and payload.

    :raises BadFrame: it is none, or too large
    :raises asyncio.IncompleteReadError: the client is gone
    """
    first, second = await reader.readexactly(2)
    opcode, length = first & 0x0F, second & 0x7F
    if first & 0x70 or not second & _MASKED:
        raise BadFrame(PROTOCOL_ERROR, "a frame with unknown bits, or without a mask")
    if opcode & 0x8 and (length > CONTROL_BYTES_MAX or not first & _FINAL):
        raise BadFrame(PROTOCOL_ERROR, "a control frame that is too long or in pieces")
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2))
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8))
    if length > FRAME_BYTES_MAX:
        raise BadFrame(TOO_BIG, f"a frame of more than {FRAME_BYTES_MAX} bytes")
    mask = await reader.readexactly(4)
    return opcode, _unmasked(await reader.readexactly(length), mask)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    length = len(payload)
    whole = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload) ^ int.from_bytes(whole)).to_bytes(length)


class Messages:
    """A WebSocket as a stream of bytes, for `bot.work.splice`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._closing = False

    async def read(self, _count: int = -1) -> bytes:
        """The bytes of the next message; none: it was closed, or is to be."""
        while True:
            try:
                opcode, payload = await read_frame(self._reader)
            except BadFrame as error:
                self._end(error.code)
                raise
            except asyncio.IncompleteReadError:
                return b""
            if opcode == CLOSE:
                self._end(int.from_bytes(payload[:2]) if len(payload) >= 2 else None)
                return b""
            if opcode == PING:
                self._writer.write(frame(PONG, payload))
                await self._writer.drain()
            elif opcode in {CONTINUATION, BINARY} and payload:
                return payload

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._closing:
            self._writer.write(frame(BINARY, data))

    def say(self, **words: Any) -> None:
        """Send words about the connection, beside its bytes."""
        if not self._closing:
            self._writer.write(frame(TEXT, json.dumps(words).encode()))

    async def step(self, name: str) -> None:
        """Say which step of the way into the machine begins."""
        self.say(step=name)
        await self.drain()

    async def drain(self) -> None:
        """Wait until more may be sent."""
        await self._writer.drain()

    def write_eof(self) -> None:
        """A WebSocket has no half-way end: it closes."""
        self._end(1000)

    def close(self) -> None:
        """Close, politely if nothing was said about it yet."""
        self._end(GOING_AWAY)
        self._writer.close()

    def _end(self, code: int | None) -> None:
        if not self._closing:
            self._closing = True
            self._writer.write(frame(CLOSE, b"" if code is None else code.to_bytes(2)))
