"""Slack's markup, read and written."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.port import Button, Content
from adapters.chat.slack.directory import standing
from adapters.chat.slack.markup import (
    SAYS_LENGTH_MAX,
    blocks,
    escape,
    fallback,
    mentions,
    mentions_many,
    plain,
    without_mention,
)

LINES = st.lists(st.text("ab`<>&@#!|*_~ \\"), max_size=6).map("\n".join)


def shown(content: Content) -> list[tuple[str, str]]:
    """Each stretch of the rich text: its kind, and its words as they are."""
    (rich, *_) = blocks(content)
    return [
        (part["type"].removeprefix("rich_text_"), "".join(one["text"] for one in part["elements"]))
        for part in rich["elements"]
        if all(one["type"] == "text" for one in part["elements"])
    ]


@given(LINES)
def test_escaped_text_pings_nobody_and_keeps_its_lines(text):
    for code in (False, True):
        escaped = escape(text, code=code)
        assert not re.search(r"[<>]", escaped)
        assert len(text) / 2 <= len(escaped) <= 10 * len(text)
        assert escaped.count("\n") == text.count("\n")


@given(LINES)
def test_what_stands_in_a_block_stays_in_it_as_it_is(text):
    body = f"```\n{escape(text, code=True)}\n```"
    assert shown(Content(text=f"before\n{body}\nafter")) == [
        ("section", "before"),
        *([("preformatted", text.strip("\n"))] if text.strip("\n") else []),
        *([("section", "after")] if text.strip("\n") else []),
    ] or not text.strip("\n")


@given(st.text("ab<>&@#!|*_~ \\"))
def test_prose_is_shown_as_it_is(text):
    if text.strip("\n"):
        assert shown(Content(text=escape(text, code=False))) == [("section", text.strip("\n"))]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("hi <@U2> &amp; <@U3|bo>", "hi @Bo & @U3"),
        ("see <https://x.y/z?a=1&amp;b=2|the page>", "see https://x.y/z?a=1&b=2"),
        ("<#C1|general> <!channel> <!subteam^S1|@team>", "#general @channel @team"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("&lt;@U2&gt; is no mention", "<@U2> is no mention"),
        ("<!date^1700000000^{date}|yesterday>", "yesterday"),
    ],
)
def test_a_message_is_read_as_people_read_it(said, read):
    assert plain(said, lambda user: {"U2": "Bo"}.get(user, user)) == read


def test_only_a_mention_of_us_at_the_beginning_is_left_out():
    assert without_mention("<@U1> fix it", "U1") == "fix it"
    assert without_mention(" <@U1|ona>: fix it", "U1") == "fix it"
    assert without_mention("please <@U1> fix it", "U1") == "please <@U1> fix it"
    assert without_mention("<@U11> fix it", "U1") == "<@U11> fix it"
    assert mentions("<@U1> and <@U2|bo> and &lt;@U3&gt;") == ["U1", "U2"]


def test_who_is_told_stands_first_in_the_blocks_and_in_the_text():
    content = Content(text="done", notify="U1")
    (rich,) = blocks(content)
    assert rich["elements"][0]["elements"][0] == {"type": "user", "user_id": "U1"}
    assert fallback(content) == "<@U1> done"


def test_buttons_say_their_words_or_open_their_page():
    content = Content(
        text="x",
        buttons=(Button(label="Stop", says="stop"), Button(label="Open", url="https://x")),
    )
    (_, actions) = blocks(content)
    assert [one.get("value") for one in actions["elements"]] == ["stop", None]
    assert [one.get("url") for one in actions["elements"]] == [None, "https://x"]
    long = Content(text="x", buttons=(Button(label="Long", says="x" * (SAYS_LENGTH_MAX + 1)),))
    assert len(blocks(long)) == 1, "it would say something else"
    json.dumps(blocks(content))


def test_a_moment_is_shown_in_the_zone_of_whoever_reads_it():
    content = Content(text="Next: 2026-07-31 12:30 UTC, \ue0012026-08-01 09:00 UTC\ue001.")
    (rich,) = blocks(content)
    (section,) = rich["elements"]
    first, second = {"timestamp": 1785501000}, {"timestamp": 1785574800, "style": {"bold": True}}
    shown = {"type": "date", "format": "{date_num} {time}"}
    assert section["elements"] == [
        {"type": "text", "text": "Next: "},
        {**shown, **first, "fallback": "2026-07-31 12:30 UTC"},
        {"type": "text", "text": ", "},
        {**shown, **second, "fallback": "2026-08-01 09:00 UTC"},
        {"type": "text", "text": "."},
    ]
    assert fallback(content) == (
        "Next: <!date^1785501000^{date_num} {time}|2026-07-31 12:30 UTC>,"
        " <!date^1785574800^{date_num} {time}|2026-08-01 09:00 UTC>."
    )


@pytest.mark.parametrize(
    "text",
    [
        "```\n2026-07-31 12:30 UTC\n```",
        "\ue0042026-07-31 12:30 UTC\ue004",
        "2026-02-30 12:30 UTC",
        "2026-07-31 25:30 UTC",
        "12026-07-31 12:30 UTC",
        "2026-07-31 12:30 UTCx",
        "2026-07-31 12:30 CEST",
    ],
)
def test_code_and_what_is_no_moment_stay_as_they_are(text):
    assert '"date"' not in json.dumps(blocks(Content(text=text)))
    if not text.startswith("\ue004"):
        assert fallback(Content(text=text)) == text


@pytest.mark.parametrize(
    ("profile", "who"),
    [
        ({"id": "U1", "team_id": "T1"}, "member"),
        ({"id": "U1", "team_id": "T1", "is_restricted": True}, "guest"),
        ({"id": "U1", "team_id": "T1", "is_ultra_restricted": True}, "guest"),
        ({"id": "U1", "team_id": "T2"}, "stranger"),
        ({"id": "U1", "team_id": "T1", "is_stranger": True}, "stranger"),
        ({"id": "U1", "team_id": "T1", "deleted": True}, "stranger"),
        ({"id": "U1", "team_id": "T1", "is_bot": True}, "bot"),
        ({"id": "USLACKBOT", "team_id": "T1"}, "bot"),
    ],
)
def test_a_workspace_knows_members_guests_strangers_and_bots(profile, who):
    assert standing(profile, "T1") == who


@pytest.mark.parametrize(
    ("text", "many"),
    [
        ("<!here> look", True),
        ("<!channel|channel> look", True),
        ("look <!everyone>", True),
        ("<!subteam^S1|@backend> look", True),
        ("<@U1> at <!date^1700000000^{date}|then>", False),
        ("here, &lt;!here&gt;", False),
    ],
)
def test_whether_a_group_is_mentioned(text, many):
    assert mentions_many(text) is many
