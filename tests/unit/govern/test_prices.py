"""What tokens cost."""

from pathlib import Path

import pytest

from bot.govern.prices import DEFAULT, LISTED, Long, Price, price_of
from vmpool.network.model.usage import Usage


def test_each_kind_of_token_has_its_price_and_a_part_of_a_micro_dollar_counts():
    price = Price(input=3, output=15, cache_read=0.3, cache_write=3.75)
    used = Usage(input_tokens=100, cache_read_tokens=1_001, cache_write_tokens=10, output_tokens=20)
    assert price.micro_dollars(used) == 938  # 300 + 300.3 + 37.5 + 300, rounded up


def test_without_prices_of_its_own_a_cache_costs_as_much_as_input():
    used = Usage(cache_read_tokens=5, cache_write_tokens=5)
    assert Price(input=2, output=9).micro_dollars(used) == 20


def test_a_long_prompt_is_dearer_as_a_whole_from_its_first_token():
    price = Price(input=1, output=2, cache_read=0.5, long=Long(beyond=100, input=2, output=1.5))
    short = Usage(input_tokens=60, cache_read_tokens=40, output_tokens=10)
    long = Usage(input_tokens=60, cache_read_tokens=41, output_tokens=10)
    assert price.micro_dollars(short) == 100  # 60 + 20 + 20
    assert price.micro_dollars(long) == 191  # (60 + 20.5) * 2 + 30


@pytest.mark.parametrize("name", DEFAULT)
def test_no_price_of_ours_is_free_and_a_cache_that_is_read_is_never_dearer(name):
    price = DEFAULT[name]
    assert price.output > price.input > 0
    assert price.cache_read is not None
    assert 0 < price.cache_read < price.input <= (price.cache_write or price.input)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4"),
        ("gpt-5-mini-2026", "gpt-5-mini"),
        ("gpt-5", "gpt-5"),
        ("claude-opus-4-1-20250805", "claude-opus-4"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("gpt-6-astra", "gpt-6"),
    ],
)
def test_the_longest_fitting_name_counts(model, name):
    assert price_of(model, {}) == DEFAULT[name]


def test_own_prices_go_before_and_what_is_in_no_list_costs_as_much_as_the_dearest():
    own = {"gpt-5": Price(input=1, output=2), "local": Price(input=0, output=0)}
    assert price_of("gpt-5.1", own).output == 2
    assert price_of("local-qwen", own).output == 0
    assert price_of("nobody-knows", own) == DEFAULT["claude-opus-4"]


def test_the_documentation_says_of_when_the_prices_are():
    page = Path(__file__).parents[3] / "docs" / "budgets.md"
    assert f"as they stood on {LISTED}" in page.read_text(encoding="utf-8")
