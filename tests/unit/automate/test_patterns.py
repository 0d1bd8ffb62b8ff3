"""Expressions are found as `re` finds them, and none takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate import patterns
from bot.automate.patterns import compiled

ALIKE = [
    "deploy",
    "deploy.*failed",
    "^prod",
    "down$",
    r"\bdb-\d{1,3}\b",
    "(api|web|db)[-_ ]down",
    "[^a-z]x",
    "a{2}b?c+",
    "(?i)ERROR",
    "(?:a|b)*c",
    r"\$\d+\.\d\d",
    "a|",
    "[]x]",
    r"[\]a]+z",
    "x*",
    "(a|ab)(c|bcd)",
    "a{0,2}b",
    "colou?r",
    r"\S+@\S+",
    "a+?b",
    "a}",
]
TEXTS = [
    "",
    "deploy of api failed",
    "prod\nis down",
    "the db-12 is slow",
    "web-down",
    "X x",
    "aabccc",
    "an error",
    "abababc",
    "costs $12.50",
    "]]]z",
    "abcd",
    "colour",
    "mail to a@b.c",
    "db-1234",
    "aaab",
    "a}",
]


@pytest.mark.parametrize("pattern", ALIKE)
@pytest.mark.parametrize("text", TEXTS)
def test_it_is_found_where_re_finds_it(pattern, text):
    found = re.compile(pattern, re.MULTILINE).search(text) is not None
    assert compiled(pattern).is_in(text) == found


ATOMS = st.sampled_from(["a", "b", "[ab]", "."])
PIECES = st.recursive(
    ATOMS,
    lambda some: st.one_of(
        st.builds(lambda one, many: f"(?:{one}){many}", some, st.sampled_from("*+?")),
        st.builds(lambda one, two: f"{one}{two}", some, some),
        st.builds(lambda one, two: f"(?:{one}|{two})", some, some),
    ),
    max_leaves=8,
)


@given(PIECES, st.text(alphabet="abc", max_size=12))
def test_whatever_is_said_is_found_where_re_finds_it(pattern, text):
    assert compiled(pattern).is_in(text) == (re.search(pattern, text) is not None)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(a", patterns.NOT_CLOSED),
        ("a)", patterns.NOT_CLOSED),
        ("[a", patterns.NOT_CLOSED),
        ("[z-a]", patterns.NOT_CLOSED),
        ("a\\", patterns.NOT_CLOSED),
        ("*a", patterns.NOTHING_REPEATED),
        ("a**", patterns.NOTHING_REPEATED),
        ("a{3,2}", patterns.NOTHING_REPEATED),
        ("^*", patterns.NOTHING_REPEATED),
        (r"(a)\1", patterns.NOT_HERE),
        ("(?=a)", patterns.NOT_HERE),
        ("(?<!a)b", patterns.NOT_HERE),
        (r"\Z", patterns.NOT_HERE),
        ("(?:a{20}){20}", patterns.TOO_LARGE),
        ("a" * (patterns.PATTERN_LENGTH_MAX + 1), patterns.TOO_LARGE),
        ("(" * 30 + ")" * 30, patterns.TOO_LARGE),
    ],
)
def test_what_can_not_be_searched_is_refused(pattern, expected):
    with pytest.raises(ValueError, match=re.escape(expected)):
        compiled(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)*b", "(?:.*,){8}x", ".*.*.*.*x"])
def test_a_text_made_to_take_long_does_not(pattern):
    """With `re` the first of these takes longer than anybody waits, and the test's own limit."""
    assert not compiled(pattern).is_in("a" * 4 * patterns.TEXT_LENGTH_MAX)


def test_only_the_beginning_of_a_text_is_searched():
    text = " " * patterns.TEXT_LENGTH_MAX + "x"
    assert not compiled("x").is_in(text)
    assert compiled("x").is_in(text[1:])
