"""Discord's Markdown, read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.discord.markup import escape, mentions, plain, without_mention
from adapters.chat.discord.port import Place, nonce
from adapters.chat.port import Rejected
from tests.fakes.discord import shown

LINES = st.lists(
    st.text("ab1.`<>&@#!|*_~ \\-+()[]:", max_size=12).filter(lambda line: line == line.strip()),
    max_size=5,
).map("\n".join)


@given(LINES)
def test_prose_shows_as_it_is(text):
    escaped = escape(text, code=False)
    seen = shown(escaped)
    assert seen.plain, seen
    assert seen.text.strip() == text.strip()
    assert len(text) / 2 <= len(escaped) <= 10 * max(1, len(text))
    assert escaped.count("\n") == text.count("\n")


@given(LINES)
def test_nothing_in_a_block_ends_it(text):
    seen = shown(f"```\n{escape(text, code=True)}\n```\nafter")
    assert [one.replace("\u200b", "").strip() for one in seen.blocks] == [text.strip()] * len(
        seen.blocks
    )
    assert not seen.spans
    assert not seen.pointed
    assert "```" not in escape(text, code=True)


def test_an_address_leads_where_it_says():
    text = "see https://x.y/a_b_c?d=*e* (now)"
    assert "https://x.y/a_b_c?d=" in escape(text, code=False)
    for label, address in shown(escape("[good](https://evil.example)", code=False)).links:
        assert label == address


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("hi <@2> and <@!3>", "hi @P2 and @P3"),
        ("<@&4> in <#5>", "@R4 in #C5"),
        ("<:wave:6> <a:dance:7>", ":wave: :dance:"),
        ("<t:1618953630:R>", "2021-04-20 21:20 UTC"),
        ("<t:99999999999999999>", "<t:99999999999999999>"),
        ("</ona:8> 1 < 2", "/ona 1 < 2"),
    ],
)
def test_a_message_is_read_as_people_read_it(said, read):
    names = {"@": "P", "@&": "R", "#": "C"}
    assert plain(said, lambda kind, number: f"{names[kind]}{number}") == read


def test_only_a_mention_of_us_at_the_beginning_is_left_out():
    assert without_mention("<@1> fix it", 1) == "fix it"
    assert without_mention(" <@!1>: fix it", 1) == "fix it"
    assert without_mention("please <@1> fix it", 1) == "please <@1> fix it"
    assert without_mention("<@11> fix it", 1) == "<@11> fix it"
    assert mentions("<@1> <@!2> <@&3>") == [1, 2]


def test_a_place_is_read_as_it_is_written():
    for place in ("1/2/3", "1/2/", "@me/2/"):
        assert str(Place.read(place)) == place
    for wrong in ("", "1/2", "1/x/", "1/2/3/4"):
        with pytest.raises(Rejected):
            Place.read(wrong)


def test_a_nonce_fits_and_is_the_marks_own():
    assert len(nonce("mark")) == 25
    assert nonce("mark") == nonce("mark") != nonce("other")
