"""The route to a provider of models: the key is added here, and what is used is metered.

    request ─▶ read and bounded ─▶ its worst case reserved ─▶ provider ─▶ answer, as it comes
                    │                  │ no    │ not yet             │ read as it passes
                    ▼                  │       ▼                     ▼
              provider's own error ◀───┘     held, then       settled: told, or estimated
                                          asked once more

What is refused is refused as the provider itself would, with an error that is not tried again.
While a person is asked for money the request is held, and the program waits without knowing.
Programs give up a silent connection after five minutes (OpenCode, Codex) or ten (Claude Code), so
it is answered 503 before. That is what they try again most patiently: Codex thirty times (429: five
times), Claude Code ten times, OpenCode eight times, as seen with them in November 2026.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import structlog

from vmpool.network.gateway.http import Headers
from vmpool.network.gateway.ports import Identity, Suspended, Ungranted, Unreachable
from vmpool.network.gateway.routes import Injected, Visit, forward
from vmpool.network.model.asking import Asked, NotMetered, Unreadable, is_free, read
from vmpool.network.model.fault import Fault, fault_of
from vmpool.network.model.usage import Provider, Usage, UsageReader

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX = 32 << 20
"""Anthropic takes no more; with pictures in them requests become large."""
HOLD_SECONDS_MAX = 240.0
"""For which a request waits, before it is answered so that its program asks once more."""
HELD_LOOK_SECONDS = 1.0
HELD_BYTES_MAX = 128 << 20
"""Of the requests of one machine that wait; what is more is told at once to ask again."""
RETRY_AFTER_SECONDS = 5
BYTES_PER_TOKEN = 4
"""Of ordinary text: what is estimated where nothing was told."""
_PLAIN = {"accept-encoding": "identity"}
_REFUSED = 400
_TOO_LARGE = 413
_LATER = 503


class OverBudget(Exception):
    """There is no money for a request; says so to whoever asked."""


class Paused(Exception):
    """There is no money now, and there may be soon."""

    def __init__(self, why: str, *, turn: UUID) -> None:
        super().__init__(why)
        self.turn = turn


class Meter(Protocol):
    """Keeps what models may cost."""

    async def reserve(
        self, who: Identity, provider: str, asked: Asked, *, turn: UUID | None = None
    ) -> Any:
        """Set the worst case aside; what to settle later.

        :param provider: its name
        :param turn: for which it was tried before, and which alone may pay
        :raises OverBudget: there is not so much
        :raises Paused: not now
        :raises Suspended: the turn rests
        :raises NoTurn: nobody works there now
        """

    async def settle(
        self, charge: Any, usage: Usage, *, is_estimate: bool, fault: Fault | None
    ) -> None:
        """Say what it was, and whether the provider failed."""


@dataclass(frozen=True, kw_only=True)
class ModelRoute:
    """One provider."""

    prefix: str
    """`/model/<name>/`."""
    provider: Provider
    """Whose format it speaks."""
    base: str
    """`https://api.anthropic.com`."""
    injected: Injected
    """For what costs nothing, while a turn runs."""
    paid: Injected
    """For what is metered: that a turn runs, the meter sees to."""
    meter: Meter
    hosts: tuple[str, ...] = ()
    held_bytes: Counter[UUID] = field(default_factory=Counter, compare=False)
    """Of requests that wait, by machine."""

    @property
    def name(self) -> str:
        """The provider's."""
        return self.prefix.strip("/").rpartition("/")[2]

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        path = visit.rest.partition("?")[0]
        method = visit.request.method.decode()
        if is_free(self.provider, method, path):
            free = {**await self.injected(visit.who, self.prefix, visit.request), **_PLAIN}
            await forward(visit, self.base, visit.rest, free)
            return
        body = await _whole(visit.side.body())
        if body is None:
            await self._refuse(visit, f"More than {REQUEST_BYTES_MAX} bytes.", _TOO_LARGE)
            return
        try:
            asked = read(self.provider, method, path, body)
            charge, headers = await self._reserved(visit, asked)
        except (NotMetered, Unreadable, OverBudget) as error:
            await self._refuse(visit, f"{error}.")
        except Paused as error:
            await self._later(visit, f"{error}.")
        else:
            await self._metered(visit, asked, charge, {**headers, **_PLAIN})

    async def _reserved(self, visit: Visit, asked: Asked) -> tuple[Any, Mapping[str, str]]:
        """The charge and the headers; waits while its turn may get them.

        :raises OverBudget: there is no money
        :raises Paused: it waited for too long
        :raises NoTurn: nobody works there, or somebody else by now
        """
        until = asyncio.get_running_loop().time() + HOLD_SECONDS_MAX
        held: Paused | None = None
        while True:
            try:
                added = await self.paid(visit.who, self.prefix, visit.request)
                turn = held.turn if held else None
                return await self.meter.reserve(visit.who, self.name, asked, turn=turn), added
            except (Paused, Suspended) as error:
                held = held or Paused(str(error), turn=error.turn)
            except Ungranted:
                # They were taken back while it rested; new ones come soon.
                if held is None:
                    raise
            if asyncio.get_running_loop().time() >= until:
                raise held
            await self._hold(visit, len(asked.body), held)

    async def _hold(self, visit: Visit, size: int, held: Paused) -> None:
        """Wait a moment.

        :raises Paused: this machine has too much that waits
        :raises ConnectionResetError: nobody waits for the answer any more
        """
        machine = visit.who.machine
        if self.held_bytes[machine] + size > HELD_BYTES_MAX:
            raise held
        self.held_bytes[machine] += size
        try:
            if not await visit.side.link.stays(HELD_LOOK_SECONDS):
                raise ConnectionResetError("the machine hung up while its request was held")
        finally:
            self.held_bytes[machine] -= size
            if not self.held_bytes[machine]:
                del self.held_bytes[machine]

    async def _later(self, visit: Visit, words: str) -> None:
        visit.note_refused(words)
        await self._say(visit, "overloaded_error", words, _LATER)

    async def _metered(
        self, visit: Visit, asked: Asked, charge: Any, added: Mapping[str, str]
    ) -> None:
        seen = _Seen(self.provider, asked)
        try:
            await forward(visit, self.base, visit.rest, added, content=asked.body, watch=seen)
        except Unreachable:
            seen.is_cut = True
            raise
        finally:
            # The machine may hang up at any moment, and this has to be written all the same.
            usage, is_estimate = seen.used()
            settling = asyncio.ensure_future(
                self.meter.settle(charge, usage, is_estimate=is_estimate, fault=seen.fault())
            )
            settling.add_done_callback(_settled)
            await asyncio.shield(settling)

    async def _refuse(self, visit: Visit, words: str, status: int = _REFUSED) -> None:
        visit.note_refused(words)
        await self._say(visit, "invalid_request_error", words, status)

    async def _say(self, visit: Visit, kind: str, words: str, status: int) -> None:
        """Answer with an error in the provider's own form."""
        error = {"type": kind, "message": f"ona: {words}"}
        said: dict[str, Any] = {"error": error}
        if self.provider == "anthropic":
            said = {"type": "error", **said}
        more = [(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)] if status == _LATER else []
        await visit.side.answer(
            status, json.dumps(said), kind="application/json", reason=f"ona: {words}", more=more
        )


class _Seen:
    """What is seen of an answer."""

    def __init__(self, provider: Provider, asked: Asked) -> None:
        self.status = 0
        self.is_cut = False
        """The provider ended before its answer did, or never began."""
        self._asked = asked
        self._provider = provider
        self._reader = UsageReader(provider, is_stream=asked.is_stream)
        self._bytes = 0

    def begins(self, status: int, headers: Headers) -> None:
        """See `Watch`."""
        self.status = status
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        is_stream = kind.startswith(b"text/event-stream")
        if is_stream != self._asked.is_stream:
            self._reader = UsageReader(self._provider, is_stream=is_stream)

    def passes(self, chunk: bytes) -> None:
        """See `Watch`."""
        self._bytes += len(chunk)
        self._reader.feed(chunk)

    def used(self) -> tuple[Usage, bool]:
        """What the request used, and whether that is an estimate."""
        self._reader.end()
        told = self._reader.usage
        if told is not None and self._reader.is_whole:
            return told, False
        if (self.is_cut and not self.status) or self.status >= _REFUSED:
            return told or Usage(), False
        output = self._bytes // BYTES_PER_TOKEN
        if told is None:
            return Usage(
                input_tokens=len(self._asked.body) // BYTES_PER_TOKEN,
                output_tokens=min(output, self._asked.worst.output_tokens),
            ), True
        return Usage(
            input_tokens=told.input_tokens,
            cache_read_tokens=told.cache_read_tokens,
            cache_write_tokens=told.cache_write_tokens,
            output_tokens=max(told.output_tokens, min(output, self._asked.worst.output_tokens)),
        ), True

    def fault(self) -> Fault | None:
        """Whether the provider failed; `used` was asked before."""
        return fault_of(self.status, self._reader.error, is_cut=self.is_cut)


def _settled(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        # Its worst case stays set aside, and is settled with that by the sweep.
        log.error("model_request_not_settled", error=str(error))


async def _whole(body: AsyncIterator[bytes]) -> bytes | None:
    """All of it; None: it is too large."""
    kept = bytearray()
    async for chunk in body:
        kept += chunk
        if len(kept) > REQUEST_BYTES_MAX:
            return None
    return bytes(kept)
