"""How the messages of an agent are put together from what its spool gives."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.agent.acp.wire import MESSAGE_BYTES_MAX, Flooded, JobWire
from adapters.agent.port import JobChunk, JobEnded

OVER = JobEnded(exit_status=0, signal=None, seconds=1, dropped=0)
PIECE_BYTES = 4096


class Spool:
    """A job's output, in pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces

    async def attach(self, *_: object, **__: object) -> AsyncIterator[JobChunk | JobEnded]:
        at = 0
        for piece in self.pieces:
            await asyncio.sleep(0)
            yield JobChunk(stream="stdout", offset=at, data=piece)
            at += len(piece)
        yield OVER


async def hear(*_: object) -> None: ...


def wire(pieces: Sequence[bytes]) -> JobWire:
    return JobWire(Spool(pieces), "t", fed=0, hear=hear)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_messages_are_whole_and_end_where_they_do_however_they_are_cut(size: int) -> None:
    messages = [{"method": "one", "id": 1}, {"method": "two", "id": 2}, {"method": "x" * 50}]
    lines = [json.dumps(one).encode() + b"\n" for one in messages]
    said = b"\n".join((lines[0], b"nonsense", lines[1] + lines[2]))
    reading = wire([said[at : at + size] for at in range(0, len(said), size)])
    ends = []
    for message in messages:
        assert await reading.receive() == message
        ends.append(reading.offset)
    assert await reading.receive() is None
    assert reading.ended is OVER
    assert reading.complaints == b"nonsense\n"
    assert ends == [len(lines[0]), len(said) - len(lines[2]), len(said)]


@pytest.mark.parametrize("length", [MESSAGE_BYTES_MAX - 100, MESSAGE_BYTES_MAX + PIECE_BYTES])
async def test_a_long_message_in_small_pieces_costs_no_more_than_it_is_long(length: int) -> None:
    rest = b"x" * PIECE_BYTES
    pieces = [b'{"method": "', *[rest] * (length // PIECE_BYTES), b'"}\n']
    reading = wire(pieces)
    # Copied for each piece it takes minutes.
    async with asyncio.timeout(30):
        message = await reading.receive()
    if length < MESSAGE_BYTES_MAX:
        assert message is not None
        assert reading.offset == sum(map(len, pieces))
    else:
        assert isinstance(reading.lost, Flooded)
