"""Moments in texts: what is one, and the token in its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.discord.markup import escape
from adapters.chat.moments import ESCAPED, WRITTEN, with_tokens
from bot.words.catalogue import moment

MOMENTS = st.datetimes(timezones=st.timezones()).filter(lambda at: 1000 < at.year < 9999)


@given(MOMENTS, st.sampled_from(["", "- ", "a "]), st.sampled_from(["", ".", ",", ")", "\n"]))
def test_every_moment_that_we_write_is_found_plain_and_escaped(at, before, after):
    text = f"{before}{moment(at)}{after}"
    seconds = int(at.timestamp() // 60 * 60)
    assert with_tokens(text, lambda at, _: f"<{at}>", WRITTEN) == f"{before}<{seconds}>{after}"
    escaped = with_tokens(escape(text, code=False), lambda at, _: f"<{at}>", ESCAPED)
    assert f"<{seconds}>" in escaped


@given(MOMENTS)
def test_a_token_of_discord_is_never_longer_than_what_it_stands_for(at):
    escaped = escape(moment(at), code=False)
    assert len(with_tokens(escaped, lambda at, _: f"<t:{at}:f>", ESCAPED)) <= len(escaped)


@pytest.mark.parametrize("text", ["2026-07-31 12:30 UTC", "```\n2026-07-31 12:30 UTC\n```"])
def test_what_is_not_escaped_is_code_in_discord(text):
    assert with_tokens(text, lambda *_: "!", ESCAPED) == text
