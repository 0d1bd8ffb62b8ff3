"""The route to a provider of models: the key is added here, and what is used is metered.

    request ─▶ read and bounded ─▶ its worst case reserved ─▶ provider ─▶ answer, as it comes
                    │                        │ no                            │ read as it passes
                    ▼                        ▼                               ▼
              provider's own error     provider's own error          settled: told, or estimated

What is refused is refused as the provider itself would, with an error that is not tried again.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from vmpool.network.gateway.http import Headers
from vmpool.network.gateway.ports import Identity, Unreachable
from vmpool.network.gateway.routes import Injected, Visit, forward
from vmpool.network.model.asking import Asked, NotMetered, Unreadable, is_free, read
from vmpool.network.model.usage import Provider, Usage, UsageReader

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX = 32 << 20
"""Anthropic takes no more; with pictures in them requests become large."""
BYTES_PER_TOKEN = 4
"""Of ordinary text: what is estimated where nothing was told."""
_PLAIN = {"accept-encoding": "identity"}
_HTTP_OK = 200
_REFUSED = 400
_TOO_LARGE = 413


class OverBudget(Exception):
    """There is no money for a request; says so to whoever asked."""


class Meter(Protocol):
    """Keeps what models may cost."""

    async def reserve(self, who: Identity, provider: Provider, asked: Asked) -> Any:
        """Set the worst case aside; what to settle later.

        :raises OverBudget: there is not so much
        :raises NoTurn: nobody works there now
        """

    async def settle(self, charge: Any, usage: Usage, *, is_estimate: bool) -> None:
        """Say what it was."""


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
    meter: Meter
    hosts: tuple[str, ...] = ()

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        path = visit.rest.partition("?")[0]
        method = visit.request.method.decode()
        added = {**await self.injected(visit.who, self.prefix, visit.request), **_PLAIN}
        if is_free(self.provider, method, path):
            await forward(visit, self.base, visit.rest, added)
            return
        body = await _whole(visit.side.body())
        if body is None:
            await self._refuse(visit, f"More than {REQUEST_BYTES_MAX} bytes.", _TOO_LARGE)
            return
        try:
            asked = read(self.provider, method, path, body)
            charge = await self.meter.reserve(visit.who, self.provider, asked)
        except (NotMetered, Unreadable, OverBudget) as error:
            await self._refuse(visit, f"{error}.")
            return
        await self._metered(visit, asked, charge, added)

    async def _metered(
        self, visit: Visit, asked: Asked, charge: Any, added: dict[str, str]
    ) -> None:
        seen = _Seen(self.provider, asked)
        try:
            await forward(visit, self.base, visit.rest, added, content=asked.body, watch=seen)
        except Unreachable:
            seen.is_unanswered = not seen.status
            raise
        finally:
            # The machine may hang up at any moment, and this has to be written all the same.
            usage, is_estimate = seen.used()
            settling = asyncio.ensure_future(
                self.meter.settle(charge, usage, is_estimate=is_estimate)
            )
            settling.add_done_callback(_settled)
            await asyncio.shield(settling)

    async def _refuse(self, visit: Visit, words: str, status: int = _REFUSED) -> None:
        error = {"type": "invalid_request_error", "message": f"ona: {words}"}
        visit.note_refused(words)
        said: dict[str, Any] = {"error": error}
        if self.provider == "anthropic":
            said = {"type": "error", **said}
        await visit.side.answer(
            status, json.dumps(said), kind="application/json", reason=f"ona: {words}"
        )


class _Seen:
    """What is seen of an answer."""

    def __init__(self, provider: Provider, asked: Asked) -> None:
        self.status = 0
        self.is_unanswered = False
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
        if self.is_unanswered or self.status >= _REFUSED:
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
