"""Who may speak to a surface when tokens are short: answers always, live edits if some are left.

A bucket belongs to one method of one installation; its rate is the surface's published limit.
Pure: the caller reads and writes the bucket's row.
"""

from dataclasses import dataclass

from adapters.chat.port import Rate

RESERVE_SHARE = 0.3
"""Of a full bucket, kept from live messages for what is final."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Go ahead; the bucket holds `tokens` now."""

    tokens: float


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Not now: it can be granted in `seconds` if nobody else takes the tokens."""

    seconds: float
    tokens: float


def filled(tokens: float, *, elapsed_seconds: float, rate: Rate) -> float:
    """What a bucket holds `elapsed_seconds` after it held `tokens`; a step back adds nothing."""
    return min(rate.burst, tokens + max(0.0, elapsed_seconds) * rate.per_second)


def decide(tokens: float, *, final: bool, rate: Rate) -> Grant | Wait:
    """Whether a call may be made out of a bucket that holds `tokens`.

    What is final takes the last token and only ever waits for the surface's own limit. What is
    live leaves a reserve behind; while it waits its wording is replaced by newer ones, so that
    one edit later stands for all that were not sent.
    """
    needed = 1.0
    if not final:
        needed = min(rate.burst, 1.0 + rate.burst * RESERVE_SHARE)
    if tokens >= needed:
        return Grant(tokens=tokens - 1.0)
    return Wait(seconds=(needed - tokens) / rate.per_second, tokens=tokens)


def throttled(*, retry_seconds: float, per_second: float) -> float:
    """What a bucket must hold so that it grants the next token after `retry_seconds`."""
    return 1.0 - retry_seconds * per_second
