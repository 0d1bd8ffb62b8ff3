"""Markdown of agents: its structure is kept, every word is escaped, and nothing is lost."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.dialect import Markdown
from bot.conversation.fences import Manner, compose, marked, segments, split
from bot.conversation.marked import written
from tests.fakes.chat import Stars, escape, shown

MARKUP = st.text(
    alphabet=st.one_of(st.sampled_from("*_~`#->[]()!|\\ \n1.@<&:/"), st.characters()), max_size=300
)


def plainly(text: str) -> str:
    """In CommonMark, its words in capitals where they are escaped."""
    return written(text, Markdown(heading_level_max=3), str.upper)


@pytest.mark.parametrize(
    ("said", "reads"),
    [
        ("one\ntwo\n\nthree", "ONE\nTWO\n\nTHREE"),
        ("**bold** and *thin* and ~~gone~~", "**BOLD** AND *THIN* AND ~~GONE~~"),
        ("***both***", "***BOTH***"),
        ("use `x*y*z`", "USE `x*y*z`"),
        ("use ``a`b``", "USE `` a`b ``"),
        ("# one\n#### four", "# ONE\n\n**FOUR**"),
        ("- a\n- b\n  - c", "- A\n- B\n  - C"),
        ("3. a\n4. b", "3. A\n4. B"),
        ("- a\n\n- b", "- A\n- B"),
        ("> a\n> b", "> A\n> B"),
        ("[docs](https://e.org/a?b=1)", "[DOCS](<https://e.org/a?b=1>)"),
        ("[https://good.org](https://evil.org)", "[HTTPS://EVIL.ORG](<https://evil.org>)"),
        ("[good.org/login](https://evil.org)", "[HTTPS://EVIL.ORG](<https://evil.org>)"),
        ("[click](javascript:alert(1))", "[CLICK](JAVASCRIPT:ALERT(1))"),
        ("[a](/local/path)", "A (/LOCAL/PATH)"),
        ("![chart](https://e.org/c.png)", "[CHART](<https://e.org/c.png>)"),
        ("<b>x</b> <script>", "<B>X</B> <SCRIPT>"),
        ("2 * 3 * 4 and a_b_c", "2 * 3 * 4 AND A_B_C"),
        ("**not closed", "**NOT CLOSED"),
        ("---", "———"),
        ("&amp; &lt;", "& <"),
        ("", ""),
    ],
)
def test_what_is_marked_is_written_anew(said, reads):
    assert plainly(said) == reads


def test_a_table_stands_in_columns():
    table = "| name | n |\n|---|--:|\n| a | 1 |\n| longer | 22 |"
    lines = plainly(table).split("\n")
    assert lines == ["`name   | n`", "`-------+---`", "`a      | 1`", "`longer | 22`"]


def test_code_that_stands_by_itself_is_a_block_like_every_other():
    body = marked("Look:\n\n```python\nx = *y*\n```\n\n**done**")
    assert [(one.text, one.code, one.marked) for one in segments(body)] == [
        ("Look:", False, True),
        ("x = *y*", True, False),
        ("**done**", False, True),
    ]


@given(MARKUP)
def test_nothing_in_markdown_ends_it_or_opens_a_block_of_its_own(said):
    for one in segments(marked(f"~~~~\n{said}")):
        assert one.marked != one.code


@given(st.lists(MARKUP, max_size=4), st.integers(200, 700))
def test_every_part_of_a_split_fits(pieces, length):
    manner = Manner(text_length_max=length, escape=escape, dialect=Stars(), parts_max=10_000)
    body = "\n".join(marked(one) for one in pieces)
    for part in split(body, manner):
        assert len(compose(part, manner)) <= length


@given(MARKUP)
def test_no_word_of_it_mentions_anybody(said):
    text = written(said, Stars(), partial(escape, code=False))
    assert shown(text).mentions == ()
