"""The server's side of HTTP/1.1 on one connection; h11 reads and writes it.

What a request says is taken apart once, here, and written anew for whoever gets it next: headers
of one connection stay on it, lengths are ours, so that nothing can be read in two ways.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from http import HTTPStatus

import h11

from vmpool.network.gateway.limits import Limits
from vmpool.network.gateway.link import Link
from vmpool.network.gateway.relay import Take

Headers = list[tuple[bytes, bytes]]
ONE_CONNECTION = frozenset(
    (
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization"),
        *(b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    )
)
"""Headers that speak of one connection, RFC 9110 section 7.6.1, and the proxy's own."""
REASON_CHARACTERS_MAX = 400


class BadRequest(Exception):
    """The request can't be understood, or is too much; the text is one sentence."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class HttpSide:
    """Reads requests from a machine and answers them, one after the other."""

    def __init__(self, link: Link, limits: Limits, take: Take) -> None:
        self.link = link
        self._limits = limits
        self._take = take
        self._state = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes_max)
        self._wants_head_alone = False

    async def request(self) -> h11.Request | None:
        """The next one; None: there is none, the connection ended or was idle for too long.

        :raises BadRequest: it is no HTTP, or its head is too large or too slow
        """
        try:
            async with asyncio.timeout(self._limits.idle_seconds_max):
                if not self.link.held and not await self.link.more():
                    return None
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(self._limits.head_seconds_max):
                event = await self._next()
        except TimeoutError as error:
            limit = f"{self._limits.head_seconds_max:g} s"
            raise BadRequest(f"The request's head did not come within {limit}.", 408) from error
        if not isinstance(event, h11.Request):
            return None
        self._wants_head_alone = event.method == b"HEAD"
        names = [name for name, _ in event.headers]
        if b"content-length" in names and b"transfer-encoding" in names:
            raise BadRequest("The request has two lengths.")
        self._check_length(event.headers)
        if not has_body(event.headers):
            await self._next()  # its end, so that an answer leaves the connection as it is
        return event

    def _check_length(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        length = next((int(value) for name, value in headers if name == b"content-length"), 0)
        if length > self._limits.body_bytes_max:
            raise self._too_large()

    def _too_large(self) -> BadRequest:
        return BadRequest(f"More than {self._limits.body_bytes_max} bytes are not taken.", 413)

    async def body(self) -> AsyncIterator[bytes]:
        """What comes after the head. :raises BadRequest: it is too large, or is cut off"""
        total = 0
        if self._state.their_state is not h11.SEND_BODY:
            return
        if self._state.they_are_waiting_for_100_continue:
            await self.send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            async with asyncio.timeout(self._limits.idle_seconds_max):
                event = await self._next()
            if isinstance(event, h11.Data):
                total += len(event.data)
                if total > self._limits.body_bytes_max:
                    raise self._too_large()
                await self.spend(len(event.data))
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise BadRequest("The request's body was cut off.")

    async def spend(self, count: int) -> None:
        """Count bytes, and wait for as long as they cost."""
        await asyncio.sleep(self._take(count))

    async def _next(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """:raises BadRequest: it is no HTTP, or its head is too large"""
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                status = error.error_status_hint
                if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                    why = f"More than {self._limits.head_bytes_max} bytes of headers."
                    raise BadRequest(why, status) from error
                raise BadRequest(f"This is not a request: {error}.", status) from error
            if event is not h11.NEED_DATA:
                return event
            # Not `more`: what h11 was given is its own.
            self._state.receive_data(await self.link.read())

    async def send(self, event: h11.Event) -> None:
        """:raises OSError: the connection is gone"""
        data = self._state.send(event)
        if data:
            await self.link.send(data)

    async def answer(
        self,
        status: int,
        text: str | bytes,
        *,
        kind: str = "text/plain; charset=utf-8",
        reason: str = "",
        more: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        """Answer with a sentence, which the reason phrase says too: some programs show only that.

        :param reason: the sentence, where the text is something else
        :param more: headers besides
        The connection ends with it unless the request was read to its end.
        """
        if self._state.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        body = text if isinstance(text, bytes) else f"{text.rstrip()}\n".encode()
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *more,
        ]
        is_error = status >= HTTPStatus.BAD_REQUEST
        phrase = (
            _phrase(reason or body.decode()) if is_error else HTTPStatus(status).phrase.encode()
        )
        await self.begin(status, phrase, headers)
        if not self._wants_head_alone:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())

    async def begin(self, status: int, reason: bytes, headers: Headers) -> None:
        """Send the head of an answer."""
        if self._state.their_state is h11.SEND_BODY:
            headers = [*headers, (b"connection", b"close")]
        await self.send(h11.Response(status_code=status, headers=headers, reason=reason))

    @property
    def is_answering(self) -> bool:
        """Whether the head of an answer has gone out, and its end has not."""
        return self._state.our_state is h11.SEND_BODY

    def go_on(self) -> bool:
        """Get ready for the next request; False: there is none on this connection."""
        # The rest of a body that nobody wanted would be in the way of the next request.
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self.link.held = self._state.trailing_data[0] + self.link.held
        self._state = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self._limits.head_bytes_max
        )
        return True

    async def opened(self) -> None:
        """Say that the tunnel asked for by CONNECT is there; what came early is held again."""
        await self.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        self.link.held = self._state.trailing_data[0] + self.link.held


def onward(headers: Iterable[tuple[bytes, bytes]], *without: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a message for the next connection; `without`: more that stay behind.

    The length goes with them only where no transfer encoding says it; a request with a chunked
    body is chunked again.
    """
    headers = list(headers)
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for word in value.split(b",")
    }
    is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
    stay = ONE_CONNECTION | named | set(without)
    if is_chunked:
        stay |= {b"content-length"}
    kept = [(name, value) for name, value in headers if name.lower() not in stay]
    return [*kept, (b"transfer-encoding", b"chunked")] if is_chunked else kept


def has_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request says that a body follows."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers)


def _phrase(text: str) -> bytes:
    """A sentence as a reason phrase: one line of ASCII."""
    words = " ".join(text.split())[:REASON_CHARACTERS_MAX]
    return words.encode("ascii", "replace")
