"""What comes from outside fits into a row, whatever it is."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.triggers.facts import FACTS_BYTES_MAX, bounded

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


def size(facts: dict) -> int:
    return len(json.dumps(facts, ensure_ascii=False, allow_nan=False).encode())


def test_what_fits_stays_as_it_is() -> None:
    facts = {"a": "é", "b": [1, 2.5, True, None], "c": {"d": "e"}}
    assert bounded(facts) == facts


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("a\0b", "a\ufffdb"),
        ("\ud800", "?"),
        (float("nan"), "…"),
        (float("-inf"), "…"),
        (2**63, "…"),
        (-(2**62), -(2**62)),
        ("x" * 8_001, "x" * 7_999 + "…"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        ((1, 2), [1, 2]),
    ],
)
def test_what_can_t_be_stored_is_replaced(said, kept) -> None:
    assert bounded({"a": said}) == {"a": kept}


@pytest.mark.parametrize(
    "facts",
    [
        {"text": "é" * 1_000_000},
        {"list": ["x" * 5_000] * 1_000},
        {f"k{number}": "x" * 5_000 for number in range(1_000)},
        {"k" * 10_000: "v"},
        {"list": [[["é" * 200] * 100] * 100] * 100},
    ],
    ids=["text", "list", "keys", "key", "nested"],
)
def test_the_limit_of_facts_holds(facts) -> None:
    made = bounded(facts)
    assert made
    assert size(made) <= FACTS_BYTES_MAX


def test_what_is_nested_without_end_is_cut() -> None:
    deep: dict = {}
    for _level in range(5_000):
        deep = {"a": deep}
    assert size(bounded(deep)) < 200


@given(st.dictionaries(st.text(), ANYTHING))
def test_anything_becomes_json_that_postgresql_takes(facts) -> None:
    text = json.dumps(bounded(facts), ensure_ascii=False, allow_nan=False)
    text.encode()
    assert "\\u0000" not in text
    assert len(text.encode()) <= FACTS_BYTES_MAX
