"""The server's half of a WebSocket."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web import frames
from bot.web.frames import BINARY, CLOSE, PING, TEXT, BadFrame, frame, read_frame


def client_frame(
    opcode: int, payload: bytes, *, mask: bytes = b"\x01\x02\x03\x04", final: bool = True
) -> bytes:
    """As a client sends it."""
    length = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + length.to_bytes(2)
    else:
        head += bytes([0x80 | 127]) + length.to_bytes(8)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + masked


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def _read(data: bytes) -> tuple[int, bytes]:
    return await read_frame(reader_of(data))


@given(payload=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_what_a_client_masks_is_read(payload: bytes, mask: bytes) -> None:
    assert asyncio.run(_read(client_frame(BINARY, payload, mask=mask))) == (BINARY, payload)


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
async def test_every_way_to_write_a_length_is_understood_on_both_sides(length: int) -> None:
    payload = bytes(length)
    assert await _read(client_frame(BINARY, payload)) == (BINARY, payload)
    written = frame(TEXT, payload)
    assert written[0] == 0x81
    assert len(written) == length + (2 if length < 126 else 4 if length < 65536 else 10)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xc2\x80\x00\x00\x00\x00", 1002),
        (b"\x82\x01x", 1002),
        (client_frame(PING, b"x" * 126), 1002),
        (client_frame(PING, b"x", final=False), 1002),
        (b"\x82\xff" + (frames.FRAME_BYTES_MAX + 1).to_bytes(8), 1009),
    ],
)
async def test_what_no_client_may_send_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(BadFrame) as refused:
        await _read(data)
    assert refused.value.code == code


async def test_the_largest_frame_is_taken() -> None:
    payload = bytes(frames.FRAME_BYTES_MAX)
    assert await _read(client_frame(BINARY, payload)) == (BINARY, payload)


def test_the_answer_to_a_key_is_that_of_the_standard() -> None:
    assert frames.accepted("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Written:
    """What a writer was given."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None: ...

    def close(self) -> None: ...


async def test_messages_are_one_stream_and_pings_are_answered() -> None:
    sent = Written()
    data = client_frame(BINARY, b"ab", final=False) + client_frame(PING, b"?")
    data += client_frame(0, b"cd") + client_frame(TEXT, b"no bytes") + client_frame(CLOSE, b"")
    messages = frames.Messages(reader_of(data), sent)  # type: ignore[arg-type]
    assert [await messages.read() for _ in range(3)] == [b"ab", b"cd", b""]
    assert sent.data == frame(frames.PONG, b"?") + frame(CLOSE, b"")
    messages.write(b"too late")
    messages.close()
    assert sent.data == frame(frames.PONG, b"?") + frame(CLOSE, b"")
