"""The tokens of an answer, and its error, read from its bytes as they pass; pure.

    answer's bytes, cut anywhere ─▶ UsageReader.feed ─▶ usage, as far as the provider has told it

Anthropic tells input with the first event and output, counted up, with each delta. OpenAI tells all
of it once, at the end, and of a stream only where the request asked for it (`asking.py` does).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Provider = Literal["anthropic", "openai"]
"""Whose format is spoken; many others speak one of the two."""

LINE_BYTES_MAX = 4 * 1024 * 1024
"""Of a stream. A longer line is let through unread: what tells usage is some hundred bytes, but for
OpenAI's `response.completed`, which repeats the whole answer."""
BODY_BYTES_MAX = 16 * 1024 * 1024
"""Of an answer in one piece; nothing is read of a longer one."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens, each counted once."""

    input_tokens: int = 0
    """Neither read from the provider's cache nor written into it."""
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


class UsageReader:
    """Reads one answer. What can't be read tells nothing; nothing is raised."""

    def __init__(self, provider: Provider, *, is_stream: bool) -> None:
        self._provider = provider
        self._is_stream = is_stream
        self._kept = bytearray()
        self._is_skipping = False
        self._told: dict[str, int] = {}
        self.is_whole = False
        """The provider has said all that it will: what `usage` gives is exact."""
        self.error: Mapping[str, Any] = {}
        """What the provider says is wrong, in its words: `type`, `code`, `message`."""

    def feed(self, data: bytes) -> None:
        """Read on."""
        if not self._is_stream:
            self._keep(data, BODY_BYTES_MAX)
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._keep(line, LINE_BYTES_MAX)
            if not self._is_skipping:
                self._line(bytes(self._kept))
            self._kept.clear()
            self._is_skipping = False
        self._keep(rest, LINE_BYTES_MAX)

    def end(self) -> None:
        """The answer is over."""
        if self._is_skipping or not self._kept:
            return
        if self._is_stream:
            self._line(bytes(self._kept))
        else:
            self._event(_parsed(bytes(self._kept)))
            self.is_whole = bool(self._told)
        self._kept.clear()

    @property
    def usage(self) -> Usage | None:
        """What was told so far; None: nothing yet."""
        return Usage(**self._told) if self._told else None

    def _keep(self, data: bytes, bytes_max: int) -> None:
        if self._is_skipping or len(self._kept) + len(data) > bytes_max:
            self._kept.clear()
            self._is_skipping = True
        else:
            self._kept += data

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:") and (b'"usage"' in line or b'"error"' in line):
            self._event(_parsed(line[len(b"data:") :]))
        elif b"message_stop" in line or line.rstrip() == b"data: [DONE]":
            self.is_whole = bool(self._told)

    def _event(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == "error":
            self.error = event
        for place in (event, event.get("message"), event.get("response")):
            if isinstance(place, Mapping) and isinstance(place.get("error"), Mapping):
                self.error = place["error"]
            found = place.get("usage") if isinstance(place, Mapping) else None
            if isinstance(found, Mapping):
                self._told |= _READS[self._provider](found)
                if event.get("type") in _LAST or (
                    self._provider == "openai" and "choices" in event
                ):
                    self.is_whole = True


_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_ANTHROPIC = {
    "input_tokens": "input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "output_tokens": "output_tokens",
}


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _count(found: Mapping[str, Any], *names: str) -> int:
    for name in names:
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0


def _of_anthropic(found: Mapping[str, Any]) -> dict[str, int]:
    """A delta repeats what changed since, and not always the rest."""
    return {ours: _count(found, theirs) for theirs, ours in _ANTHROPIC.items() if theirs in found}


def _of_openai(found: Mapping[str, Any]) -> dict[str, int]:
    """Chat Completions and Responses name the same things differently."""
    read = 0
    for name in ("prompt_tokens_details", "input_tokens_details"):
        details = found.get(name)
        if isinstance(details, Mapping):
            read = _count(details, "cached_tokens")
    told = _count(found, "prompt_tokens", "input_tokens")
    return {
        "input_tokens": max(0, told - read),
        "cache_read_tokens": min(read, told),
        "output_tokens": _count(found, "completion_tokens", "output_tokens"),
    }


_READS = {"anthropic": _of_anthropic, "openai": _of_openai}
