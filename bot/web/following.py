"""Following a session's events: none lost, none doubled, whoever reconnects however often.

Numbers have no gaps and are given under the session's row lock, so whoever reads on after the last
number they have misses nothing. Hints only make it quick; a slow poll backs them up.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.errors import TryAgain
from bot.store.database import EVENTS, may_pass
from bot.web import reading
from bot.web.reading import StoredEvent
from bot.web.services import Services
from scheduler.waits import first_of

log = structlog.get_logger(__name__)

BATCH_EVENTS_MAX = 200
POLL_SECONDS = 5.0
"""Also the heartbeat: something is sent at least this often."""
AWAY_SECONDS = 1.0
STREAM_SECONDS_MAX = 300.0
"""Then the reader reconnects, and is asked again who they are and what they may see."""
SEND_SECONDS_MAX = 30.0
"""A reader that takes nothing for so long is let go; it reconnects where it stopped."""
RECONNECT_MILLISECONDS = 1000


class Streams:
    """Counts the live streams of this process."""

    def __init__(self, streams_max: int) -> None:
        """At most `streams_max` at once."""
        self._streams_max = streams_max
        self.open = 0

    def check(self) -> None:
        """:raises TryAgain: as many are open as can be."""
        if self.open >= self._streams_max:
            raise TryAgain(
                f"{self.open} live streams are open, the most there can be",
                do="close a page, or read the events in pages",
            )


async def follow(
    services: Services, session_id: UUID, after: int
) -> AsyncIterator[Sequence[StoredEvent]]:
    """The events after `after` as they are stored; an empty batch is a heartbeat."""
    changed = asyncio.Event()
    wanted = {"", str(session_id)}

    def hear(payload: str) -> None:
        if payload in wanted:
            changed.set()

    off = services.listener.on(EVENTS, hear)
    ends_at = asyncio.get_running_loop().time() + STREAM_SECONDS_MAX
    try:
        while not services.stopping.is_set() and asyncio.get_running_loop().time() < ends_at:
            changed.clear()
            batch, away = await _read(services, session_id, after)
            if batch or away:
                yield batch
            if batch:
                after = batch[-1].number
            if len(batch) == BATCH_EVENTS_MAX:
                continue
            seconds = AWAY_SECONDS if away else POLL_SECONDS
            heard = await first_of(changed, services.stopping, seconds_max=seconds)
            if not heard and not away:
                yield ()
    finally:
        off()


async def _read(
    services: Services, session_id: UUID, after: int
) -> tuple[Sequence[StoredEvent], bool]:
    try:
        async with services.database.begin() as tx:
            found = await reading.events(tx, session_id, after=after, limit=BATCH_EVENTS_MAX)
            return found, False
    except Exception as error:
        if not may_pass(error):
            raise
        return (), True


def message(data: str, *, number: int | None = None, event: str | None = None) -> str:
    """One server-sent event; `number` is where a reader that reconnects goes on."""
    head = "" if number is None else f"id: {number}\n"
    if event is not None:
        head += f"event: {event}\n"
    return head + "".join(f"data: {part}\n" for part in data.split("\n")) + "\n"


HEARTBEAT = ": still here\n\n"


class EventStream(Response):
    """Sends what a source yields until it ends, the reader leaves or takes nothing any more."""

    def __init__(self, source: AsyncIterator[str], streams: Streams) -> None:
        """:raises TryAgain: too many streams are open."""
        streams.check()
        super().__init__(media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        self._streams.open += 1
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except TimeoutError:
            log.info("stream_reader_too_slow", path=scope["path"])
        finally:
            self._streams.open -= 1
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await _part(send, f"retry: {RECONNECT_MILLISECONDS}\n\n")
        async with aclosing(self._source) as source:  # type: ignore[type-var]
            async for piece in source:
                await _part(send, piece)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _part(send: Send, piece: str) -> None:
    async with asyncio.timeout(SEND_SECONDS_MAX):
        await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
