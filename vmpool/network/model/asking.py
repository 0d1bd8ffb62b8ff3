"""What a request to a model may use at most, and what is changed of it on its way; pure.

Only what is metered passes: a message, a chat, a response, and what costs nothing (the models that
there are, counting tokens). Everything else of a provider's API is refused, since nobody would see
what it costs.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vmpool.network.model.usage import Provider, Usage

BYTES_PER_TOKEN_MIN = 2
"""Fewer bytes than this a token of ordinary text never is: English is about four, code three, runs
of digits two and a half. Chinese takes three bytes a character and about one token."""
OUTPUT_TOKENS_MAX = 32_000
"""Reserved where a request names no limit of its own; it is written into the request, so that it
holds."""
TOKENS_MAX = 100_000_000
"""More than any model writes; what it may cost stays a number that can be set aside."""
_MODEL = re.compile(r"[!-~]{1,200}")
_METERED: Mapping[Provider, Mapping[str, str]] = {
    "anthropic": {"v1/messages": "max_tokens"},
    "openai": {
        "v1/chat/completions": "max_completion_tokens",
        "v1/responses": "max_output_tokens",
    },
}
"""Path → the field that limits the output."""
_FREE: Mapping[Provider, frozenset[tuple[str, str]]] = {
    "anthropic": frozenset({("POST", "v1/messages/count_tokens")}),
    "openai": frozenset(),
}
_OLD_LIMIT = "max_tokens"
"""As Chat Completions called its limit before; many that speak OpenAI's format know no other."""


class NotMetered(Exception):
    """It is none of the requests that pass; says so."""


class Unreadable(Exception):
    """It is no request of this kind; says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, as it goes out."""

    model: str
    is_stream: bool
    body: bytes
    worst: Usage
    """What it uses at most. All of the input is counted as if it were written into the cache, where
    that is dearest."""


def is_free(provider: Provider, method: str, path: str) -> bool:
    """Whether a request costs nothing. :param path: without a slash before it, and no query"""
    lists = method in {"GET", "HEAD"} and (path == "v1/models" or path.startswith("v1/models/"))
    return lists or (method, path) in _FREE[provider]


def read(provider: Provider, method: str, path: str, body: bytes) -> Asked:
    """Read a request that costs something, and change it so that its cost is bounded and told.

    :raises NotMetered: it is another one; `is_free` was asked before
    :raises Unreadable: its body is none
    """
    limit = _METERED[provider].get(path) if method == "POST" else None
    if limit is None:
        raise NotMetered(f"{method} /{path} is not let through: only metered requests are")
    asked = _object(body)
    model = asked.get("model")
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        raise Unreadable("`model` names no model")
    changed = dict(asked)
    output = _limited(changed, limit)
    is_stream = asked.get("stream") is True
    if path == "v1/chat/completions" and is_stream:
        options = asked.get("stream_options")
        changed["stream_options"] = {
            **(options if isinstance(options, Mapping) else {}),
            "include_usage": True,
        }
    _one_answer(changed, path)
    sent = body if changed == asked else _written(changed)
    bound = -(-len(sent) // BYTES_PER_TOKEN_MIN)
    return Asked(
        model=model,
        is_stream=is_stream,
        body=sent,
        worst=Usage(cache_write_tokens=bound, output_tokens=output),
    )


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        asked = json.loads(body, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the body is no JSON") from error
    if not isinstance(asked, dict):
        raise Unreadable("the body is no JSON object")
    return asked


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """:raises Unreadable: a key is there twice, of which the provider may take the other one"""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("a key is named twice")
    return found


def _written(changed: Mapping[str, Any]) -> bytes:
    """The body anew. Half a character, as programs make by cutting text, is escaped as it was."""
    return json.dumps(changed, ensure_ascii=False).encode(errors="backslashreplace")


def _limited(changed: dict[str, Any], limit: str) -> int:
    """The output's limit, in tokens; one is set where there was none."""
    names = [limit, _OLD_LIMIT] if limit == "max_completion_tokens" else [limit]
    for name in names:
        value = changed.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= TOKENS_MAX:
            raise Unreadable(f"`{name}` is no number of tokens")
        return value
    changed[limit] = OUTPUT_TOKENS_MAX
    return OUTPUT_TOKENS_MAX


def _one_answer(changed: Mapping[str, Any], path: str) -> None:
    """:raises Unreadable: it asks for several answers, or for one that nobody waits for"""
    if changed.get("n") not in {None, 1}:
        raise Unreadable("`n` may only be 1: several answers at once are not metered")
    if changed.get("background"):
        raise Unreadable("`background` is not let through: what it uses would never be told")
