"""Our notes as GitLab stores them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.port import Button, Content
from adapters.forge.gitlab.bodies import compose, mentions, plain, without_actions
from adapters.forge.markdown import escape
from tests.fakes.gitlab.eyes import mentioned, shown
from tests.fakes.gitlab.quick_actions import extracted


def body(text, **more):
    return compose(Content(text=text, **more), mentioned="ann", stamp="<!-- ona:1:2 -->")


def test_a_note_tells_its_reader_first_and_hides_its_mark():
    made = body("All *done*.", buttons=(Button(label="Open!", url="https://ona.test/s-1"),))
    assert mentions(made, "ann")
    assert not mentions(made, "an")
    assert mentioned(made) == ["ann"]
    assert shown("plain\n\n<!-- ona:1:2 -->") == "plain"
    assert made.endswith("\n\n<!-- ona:1:2 -->")
    assert "](<https://ona.test/s-1>)" in made


def test_buttons_that_say_something_are_left_out():
    assert body("Hm?", buttons=(Button(label="Retry", says="retry"),)) == body("Hm?")


@pytest.mark.parametrize(
    "text",
    [
        "/close",
        "/merge now",
        "words\n/approve\nwords",
        "```\n/close\n```",
        "   /close",
        "/Merge",
        "/cl\rose",
        "\r/close",
        "a `code\n/close",
    ],
)
def test_no_line_of_ours_is_a_quick_action(text):
    made = body(text)
    assert extracted(made) == (made.rstrip(), [])
    assert shown(without_actions(text)) == shown(text.replace("\r", ""))


def test_paths_and_escaped_text_are_left_as_they_are():
    for text in ("/usr/bin/python", "see /close", escape("/close", code=False), "/"):
        assert without_actions(text) == text


@given(st.text(alphabet="/close merge\n`\r\t>*", max_size=60))
def test_no_text_runs_anything(text):
    assert extracted(without_actions(text))[1] == []


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), max_size=80))
def test_a_description_is_what_the_text_shows(text):
    assert plain(escape(text, code=False), 1_000) == text
    assert len(plain(escape(text, code=False), 20)) <= 20


def test_a_description_is_one_line():
    said = 'Failed: <b> & "x".'
    assert plain(f"{escape(said, code=False)}\n```\noutput\n```", 255) == said
    assert plain("```\n\nfirst\nsecond\n```", 255) == "first"
    assert plain("x" * 300, 255) == "x" * 254 + "…"
    assert plain("", 255) == ""
