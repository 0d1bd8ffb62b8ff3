"""The renderer of the fake Slack: what is markup and what is not."""

from __future__ import annotations

import pytest

from tests.fakes.slack.mrkdwn import block_text, rich_text, shown, typed


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize(
    "text",
    ["a < b && c > d", "<@U1>", "<!channel>", "<mailto:a|b>", "&lt;", "&amp;lt;"],
)
def test_escaped_text_shows_as_it_is(text: str) -> None:
    assert shown(escaped(text)).text == text
    assert shown(escaped(text)).is_plain


@pytest.mark.parametrize(
    "text", ["2 * 3 * 4", "snake_case_name", "a ~ b", "it's 12:30:15", "&quot;"]
)
def test_what_only_resembles_markup_is_plain(text: str) -> None:
    assert shown(text).is_plain
    assert shown(text).text == text


def test_markup_is_read() -> None:
    got = shown("*b* _i_ ~s~ `c*d*` :tada: <@U1> <!here> <https://a.example|a &amp; b>")
    assert got.text == "b i s c*d* :tada: @U1 @here a & b"
    assert (got.bold, got.italic, got.struck, got.code) == (("b",), ("i",), ("s",), ("c*d*",))
    assert (got.users, got.special, got.emoji) == (("U1",), ("here",), ("tada",))
    assert got.links == (("https://a.example", "a & b"),)


def test_a_link_needs_no_brackets_and_cannot_hide_in_escaped_ones() -> None:
    assert shown("see https://a.example/x_y.").links == (("https://a.example/x_y",) * 2,)
    got = shown(escaped("<https://a.example|click>"))
    assert got.text == "<https://a.example|click>"
    assert got.links == (("https://a.example", "https://a.example"),)
    assert shown(escaped("<https://a.example?a=1&b=2>")).links[0][0] == "https://a.example?a=1&b=2"


def test_code_shows_everything_but_tokens_as_it_is() -> None:
    got = shown("```\n*a* &lt;b&gt; https://a.example\n```")
    assert got.blocks == ("*a* <b> https://a.example",)
    assert (got.bold, got.links) == ((), ())
    assert shown("```<@U1>```").users == ("U1",)


def test_text_can_break_out_of_a_code_block() -> None:
    assert shown("```a``` *b* ```c```").bold == ("b",)


def test_an_escaped_angle_bracket_at_the_start_of_a_line_quotes() -> None:
    assert shown("&gt; said").quoted
    assert shown("&gt; said").text == "said"
    assert not shown("a &gt; b").quoted


def test_plain_text_in_a_block_has_no_markup() -> None:
    text = {"type": "plain_text", "text": "*a* <@U1> https://a.example :tada: `b` & c"}
    got = shown(block_text({"type": "section", "text": text}))
    assert got.text == text["text"]
    assert got.is_plain


def test_what_a_person_types_shows_as_it_was_typed() -> None:
    text = "is a < b & c? see https://a.example/x?y=1&z=2 <@U1>"
    assert typed(text).count("<") == 1
    assert shown(typed(text)).text == text
    assert shown(typed(text)).users == ()


def test_what_people_write_comes_as_a_block_too() -> None:
    [section] = rich_text("<@U1> a &amp; b <https://a.example|c>")["elements"]
    assert section["elements"] == [
        {"type": "user", "user_id": "U1"},
        {"type": "text", "text": " a & b "},
        {"type": "link", "url": "https://a.example", "text": "c"},
    ]
