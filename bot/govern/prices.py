"""What tokens of models cost; pure. Settings change and extend it.

Prices are US dollars per million tokens. Those that are written here are the providers' public list
prices, as they stood on `LISTED`; `[models.NAME.prices]` goes before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil

from vmpool.network.model.usage import Usage

LISTED = date(2026, 11, 6)
"""Of the prices below: they are looked up anew with every release."""


@dataclass(frozen=True, kw_only=True)
class Long:
    """What a request costs more whose prompt is long: all of it, and not only what is beyond."""

    beyond: int
    """Tokens of the prompt, cached ones with them."""
    input: float
    """How many times as much, the cache too."""
    output: float


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars per million tokens, which is micro-dollars per token."""

    input: float
    output: float
    cache_read: float | None = None
    """None: as `input`."""
    cache_write: float | None = None
    """None: as `input`."""
    long: Long | None = None

    def micro_dollars(self, usage: Usage) -> int:
        """What these tokens of one request cost, rounded up."""
        read = self.input if self.cache_read is None else self.cache_read
        written = self.input if self.cache_write is None else self.cache_write
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        is_long = self.long is not None and prompt > self.long.beyond
        more_in, more_out = (self.long.input, self.long.output) if self.long and is_long else (1, 1)
        cost_in = (
            usage.input_tokens * self.input
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * written
        )
        return ceil(cost_in * more_in + usage.output_tokens * self.output * more_out)


_LONG = Long(beyond=272_000, input=2, output=1.5)
DEFAULT: Mapping[str, Price] = {
    "claude-fable-5": Price(input=10, output=50, cache_read=1, cache_write=12.5),
    "claude-fable-5-1": Price(input=10, output=50, cache_read=0.25, cache_write=12.5),
    "claude-opus-4": Price(input=15, output=75, cache_read=1.5, cache_write=18.75),
    "claude-opus-4-5": Price(input=5, output=25, cache_read=0.5, cache_write=6.25),
    "claude-opus-4-6": Price(input=5, output=25, cache_read=0.5, cache_write=6.25),
    "claude-opus-4-7": Price(input=5, output=25, cache_read=0.5, cache_write=6.25),
    "claude-opus-4-8": Price(input=5, output=25, cache_read=0.5, cache_write=6.25),
    "claude-opus-5": Price(input=5, output=25, cache_read=0.5, cache_write=6.25),
    "claude-opus-5-5": Price(input=4, output=20, cache_read=0.2, cache_write=5),
    "claude-sonnet-4": Price(input=3, output=15, cache_read=0.3, cache_write=3.75),
    "claude-sonnet-5": Price(input=2, output=10, cache_read=0.2, cache_write=2.5),
    "claude-sonnet-5-5": Price(input=2, output=10, cache_read=0.1, cache_write=2.5),
    "claude-haiku-4": Price(input=1, output=5, cache_read=0.1, cache_write=1.25),
    "claude-haiku-5-5": Price(
        input=0.1,
        output=0.5,
        cache_read=0.01,
        cache_write=0.125,
        long=Long(beyond=100_000, input=5, output=5),
    ),
    "gpt-5": Price(input=1.25, output=10, cache_read=0.125),
    "gpt-5-mini": Price(input=0.25, output=2, cache_read=0.025),
    "gpt-5-nano": Price(input=0.05, output=0.4, cache_read=0.005),
    "gpt-5.2": Price(input=1.75, output=14, cache_read=0.175),
    "gpt-5.3": Price(input=1.75, output=14, cache_read=0.175),
    "gpt-5.4": Price(input=2.5, output=15, cache_read=0.25, long=_LONG),
    "gpt-5.4-mini": Price(input=0.75, output=4.5, cache_read=0.075),
    "gpt-5.5": Price(input=5, output=30, cache_read=0.5, long=_LONG),
    "gpt-5.6": Price(input=5, output=30, cache_read=0.5, long=_LONG),
    "gpt-5.6-terra": Price(input=2, output=12, cache_read=0.2, long=_LONG),
    "gpt-5.6-luna": Price(input=0.2, output=1.2, cache_read=0.02, long=_LONG),
    "gpt-6": Price(input=10, output=50, cache_read=1, cache_write=12.5, long=_LONG),
    "gpt-6-sol": Price(input=2, output=10, cache_read=0.2, cache_write=2.5, long=_LONG),
    "gpt-6-luna": Price(input=0.1, output=0.5, cache_read=0.01, cache_write=0.125, long=_LONG),
    "gpt-6.1-sol": Price(input=2, output=10, cache_read=0.1, cache_write=2.5, long=_LONG),
}
"""By how the names of models begin; the longest beginning counts."""


def price_of(model: str, own: Mapping[str, Price]) -> Price:
    """The price of a model. What is in no list costs as much as the dearest in it, so that a budget
    holds all the same.

    :param own: by how names begin, before those of `DEFAULT`
    """
    known = {**DEFAULT, **own}
    fitting = [name for name in known if model.startswith(name)]
    if fitting:
        return known[max(fitting, key=len)]
    return max(known.values(), key=lambda price: (price.output, price.input))
