"""What tokens of models cost; pure. Settings change and extend it.

Prices are US dollars per million tokens. Those that are written here are the providers' public list
prices as known in 2026; nobody has to agree with them, `[models.….prices]` goes before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from vmpool.network.model.usage import Usage

MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Price:
    """Dollars per million tokens, which is micro-dollars per token."""

    input: float
    output: float
    cache_read: float | None = None
    """None: as `input`."""
    cache_write: float | None = None
    """None: as `input`."""

    def micro_dollars(self, usage: Usage) -> int:
        """What these tokens cost, rounded up."""
        read = self.input if self.cache_read is None else self.cache_read
        written = self.input if self.cache_write is None else self.cache_write
        return ceil(
            usage.input_tokens * self.input
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * written
            + usage.output_tokens * self.output
        )


DEFAULT: Mapping[str, Price] = {
    "claude-opus-4": Price(input=15, output=75, cache_read=1.5, cache_write=18.75),
    "claude-sonnet-4": Price(input=3, output=15, cache_read=0.3, cache_write=3.75),
    "claude-haiku-4": Price(input=1, output=5, cache_read=0.1, cache_write=1.25),
    "gpt-5": Price(input=1.25, output=10, cache_read=0.125),
    "gpt-5-mini": Price(input=0.25, output=2, cache_read=0.025),
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
