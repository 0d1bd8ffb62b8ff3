"""Bodies: nothing from outside makes markup, nothing is lost by a split, everything fits."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.conversation.fences import (
    CUT,
    TEXT_LENGTH_MIN,
    Manner,
    Segment,
    compose,
    fenced,
    prose,
    segments,
    split,
    tail,
)
from bot.words.plain import settled
from tests.fakes.chat import escape, shown

PATIENT = settings(deadline=None)
HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("`\n\r \t*@<>&\\\x1b[31m;x\u2028\u202e\x00"), st.characters()
    ),
    max_size=400,
)
LENGTHS = st.integers(TEXT_LENGTH_MIN, 700)


def manner(length: int, *, parts_max: int = 50) -> Manner:
    return Manner(text_length_max=length, escape=escape, parts_max=parts_max)


@PATIENT
@given(HOSTILE)
@example("```\nx\n```")
@example("a\u2028```\nx")
@example("\x1b]0;title\x07```")
def test_prose_from_outside_opens_no_block(text):
    assert not any(one.code for one in segments(prose(text)))


@PATIENT
@given(HOSTILE)
@example("```\nx\n```")
@example("`````")
def test_nothing_in_a_block_ends_it(text):
    inside = settled(text).strip("\n")
    found = segments(fenced(text))
    assert found == ([Segment(inside, code=True)] if inside.strip() else [])


@PATIENT
@given(st.lists(st.tuples(HOSTILE, st.booleans()), max_size=6), LENGTHS)
def test_a_split_loses_nothing_and_every_part_fits(pieces, length):
    body = "\n".join(fenced(text) if code else prose(text) for text, code in pieces)
    parts = split(body, manner(length, parts_max=10_000))
    for part in parts:
        assert len(compose(part, manner(length))) <= length
        assert CUT not in part

    def letters(bodies, code):
        return "".join(
            "".join(one.text.split())
            for body in bodies
            for one in segments(body)
            if one.code is code
        )

    for code in (True, False):
        assert letters(parts, code) == letters([body], code)


@PATIENT
@given(HOSTILE, HOSTILE, LENGTHS, st.integers(1, 3))
def test_what_does_not_fit_is_cut_and_says_so(words, output, length, parts_max):
    body = f"{prose(words)}\n{fenced(output)}"
    parts = split(body, manner(length, parts_max=parts_max))
    assert len(parts) <= parts_max
    assert all(len(compose(part, manner(length))) <= length for part in parts)
    whole = split(body, manner(length, parts_max=10_000))
    assert (CUT in "".join(parts)) is (len(whole) > parts_max)
    assert len(compose(body, manner(length))) <= length


@PATIENT
@given(HOSTILE, HOSTILE, LENGTHS)
def test_no_text_from_outside_mentions_anybody_or_becomes_markup(words, output, length):
    body = f"{prose(words)}\n{fenced(output)}"
    for part in split(body, manner(length)):
        read = shown(compose(part, manner(length)))
        assert read.mentions == read.bold == ()
        code = [one.text for one in segments(part) if one.code]
        assert list(read.blocks) == code


@PATIENT
@given(HOSTILE, st.integers(1, 20), st.integers(1, 200))
def test_a_tail_is_an_end_within_its_bounds(text, lines_max, length_max):
    kept = tail(text, lines_max=lines_max, length_max=length_max)
    assert text.endswith(kept)
    assert len(kept) <= length_max
    assert kept.count("\n") < lines_max


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07words", "words"),
        ("\x1b]0;never ended\nnext", "\nnext"),
        ("10%\r50%\r100%\nnext", "100%\nnext"),
        ("one\r\ntwo", "one\ntwo"),
        ("a\u202eb\u2066c\u200bd\x00\x07e", "abcde"),
        ("a\u2028b", "a\nb"),
        ("lone \ud800", "lone ?"),
        ("tab\tkept", "tab\tkept"),
    ],
)
def test_text_is_as_a_terminal_would_leave_it(text, read):
    assert settled(text) == read


def test_a_surface_that_bears_too_little_is_refused():
    with pytest.raises(ValueError, match="text_length_max"):
        manner(TEXT_LENGTH_MIN - 1)
