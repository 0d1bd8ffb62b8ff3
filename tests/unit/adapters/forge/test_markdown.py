import html

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from adapters.forge.markdown import WORD_JOINER, escape

LINE = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\x00\t" + WORD_JOINER), max_size=60
)


def shown(text: str) -> str:
    """What readers see of a line of Markdown."""
    tokens = MarkdownIt("commonmark").parseInline(text)[0].children or []
    assert {token.type for token in tokens} <= {"text", "text_special"}
    return html.unescape("".join(token.content for token in tokens)).replace(WORD_JOINER, "")


@given(LINE)
def test_a_line_shows_as_it_is(line):
    assert shown(escape(line, code=False)) == html.unescape(line).replace(WORD_JOINER, "") or (
        shown(escape(line, code=False)) == line
    )


@given(LINE, LINE)
def test_parts_escape_alone(one, other):
    for code in (False, True):
        whole = escape(one + other, code=code)
        assert whole == escape(one, code=code) + escape(other, code=code)
        assert len(one + other) / 2 <= len(whole) <= 10 * len(one + other)


def test_nothing_is_named_by_accident():
    escaped = escape("@ann #12 !12 ~bug %1 $1 &3 :smile: http://x.test www.x.test", code=False)
    for sign in "@#!~%$:":
        assert all(part.startswith(WORD_JOINER) for part in escaped.split(sign)[1:])
    assert "www." not in escaped


def test_code_can_not_end_its_block():
    assert "```" not in escape("a\n```\nb", code=True)
