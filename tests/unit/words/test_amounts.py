"""Durations, counts and money."""

import pytest

from bot.words.amounts import dollars, duration, ordinal, prompts, short
from bot.words.catalogue import speaking


def test_durations_are_said_as_people_say_them():
    said = [duration(value) for value in (0.04, 9.96, 12.3, 59.7, 61, 3600 * 2 + 600)]
    assert said == ["0.0 s", "10.0 s", "12 s", "1 min 0 s", "1 min 1 s", "2 h 10 min"]


def test_a_count_agrees_with_its_noun():
    assert [prompts(count) for count in (0, 1, 2)] == ["0 prompts", "1 prompt", "2 prompts"]


def test_places_are_counted_as_people_count_them():
    said = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 101, 111, 113, 122)]
    ends = ["st", "nd", "rd", "th", "th", "th", "th", "st", "st", "th", "th", "nd"]
    assert [one[-2:] for one in said] == ends
    assert said[-1] == "122nd"
    with speaking("de"):
        assert [ordinal(number) for number in (1, 2, 13)] == ["1.", "2.", "13."]


def test_a_text_is_cut_to_its_length_and_says_so():
    assert short("a\n b", 3) == "a b"
    assert short("abcd", 3) == "ab…"


@pytest.mark.parametrize(
    ("micro", "words"), [(0, "0.00"), (1, "0.0000"), (1_234, "0.0012"), (12_345_678, "12.35")]
)
def test_dollars(micro, words):
    assert dollars(micro) == words
