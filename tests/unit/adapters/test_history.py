"""How much of a thread is taken along with a prompt."""

from datetime import UTC, datetime

from adapters.chat.history import LENGTH_MAX, MESSAGE_LENGTH_MAX, MESSAGES_MAX, bounded
from adapters.chat.incoming import Quoted

AT = datetime(2026, 11, 28, tzinfo=UTC)


def said(text: str, key: str = "k") -> Quoted:
    return Quoted(key=key, author="Bo", at=AT, text=text)


def test_a_short_thread_is_taken_as_it_is_but_for_empty_messages():
    assert bounded([]) == bounded([said(" \n")]) == ()
    assert [one.text for one in bounded([said(""), said("a"), said(" "), said("b")])] == ["a", "b"]


def test_of_a_long_thread_the_first_message_and_the_newest_ones_are_taken():
    taken = bounded([said(str(number)) for number in range(200)])
    assert len(taken) == MESSAGES_MAX
    assert [one.text for one in taken[:2]] == ["0", str(200 - MESSAGES_MAX + 1)]
    assert taken[-1].text == "199"


def test_no_message_and_not_all_of_them_together_are_longer_than_their_limits():
    taken = bounded([said("x" * 10_000, str(number)) for number in range(20)])
    assert max(len(one.text) for one in taken) == MESSAGE_LENGTH_MAX
    assert sum(len(one.text) for one in taken) <= LENGTH_MAX
    assert [one.key for one in taken] == ["0", "16", "17", "18", "19"]
