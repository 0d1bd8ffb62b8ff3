"""Output of programs as plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.words.plain import Plain, plain


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;Y2xpcA==\x1b\\text", "text"),
        ("\x1b(Bascii", "ascii"),
        ("\x9b31mred", "red"),
        ("bell\x07 back\x08space \x00nul", "bell backspace nul"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("get\r10%\r20%\r30%\ndone", "get\n30%\ndone"),
        ("10%\r20%\r100%\r\ndone", "10%\n100%\ndone"),
        ("tab\tstays\n", "tab\tstays\n"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("\x1b[", "["),
    ],
)
def test_nothing_but_text_gets_through(raw, clean):
    assert plain(raw).replace("\x1b", "") == clean


def test_a_sequence_that_is_cut_in_two_is_still_none():
    pieces = Plain()
    assert pieces.feed("a\x1b[3") + pieces.feed("1mb\r") + pieces.feed("\nc") == "ab\nc"


@given(
    st.lists(st.sampled_from(["\x1b", "[", "1", ";", "m", "\r", "\n", "a", "\\"])),
    st.integers(1, 5),
)
def test_pieces_say_all_that_the_whole_says(characters, size):
    text = "".join(characters) + "a"
    pieces = Plain()
    fed = "".join(pieces.feed(text[i : i + size]) for i in range(0, len(text), size))
    assert "\x1b" not in fed
    assert "\r" not in fed
    # In pieces fewer overwritten lines are known to be overwritten, and none is empty for sure.
    lines = iter(filter(None, fed.split("\n")))
    assert all(line in lines for line in filter(None, plain(text).split("\n")))


def test_an_unfinished_sequence_withholds_no_more_than_its_line():
    pieces = Plain()
    assert pieces.feed("\x1b]0;never ended") == ""
    assert pieces.feed("\nnext line") == "]0;never ended\nnext line"
