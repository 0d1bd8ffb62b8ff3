"""Which thread a link to a message is about."""

import pytest

from bot.conversation.commands import Join, Prompt, parse
from bot.conversation.thread_links import read

SLACK = "https://acme.slack.com/archives/C07/p1712345678000200"
DISCORD = "https://discord.com/channels/10/20"
GITHUB = "https://github.com/acme/my_shop"
GITLAB = "https://gitlab.example/group/sub/shop/-"


@pytest.mark.parametrize(
    ("url", "surface", "places", "ref"),
    [
        (SLACK, "slack", ["%/C07/1712345678.000200"], ""),
        (f"{SLACK}?thread_ts=1712.5&cid=C07", "slack", ["%/C07/1712.5"], ""),
        (f"{SLACK}?thread_ts=1%25", "slack", ["%/C07/1"], ""),
        (DISCORD, "discord", ["10/%/20"], ""),
        (f"{DISCORD}/30", "discord", ["10/20/30", "10/%/20"], ""),
        (f"{GITHUB}/pull/7", "github", [r"acme/my\_shop#7", r"acme/my\_shop#7/%"], ""),
        (f"{GITHUB}/pull/7/files#r1", "github", [r"acme/my\_shop#7", r"acme/my\_shop#7/%"], ""),
        (
            f"{GITHUB}/issues/7#issuecomment-9",
            "github",
            [r"acme/my\_shop#7", r"acme/my\_shop#7/%"],
            "9",
        ),
        (
            f"{GITLAB}/issues/7#note_9",
            "gitlab",
            ["group/sub/shop#7", "group/sub/shop#7/%"],
            "9",
        ),
        (f"{GITLAB}/merge_requests/7", "gitlab", ["group/sub/shop!7", "group/sub/shop!7/%"], ""),
    ],
)
def test_a_link_is_about_a_thread(url, surface, places, ref):
    found = read(url)
    assert (found.surface, found.places, found.ref) == (surface, places, ref)
    assert parse(f"@ona join {url}") == Join(session="", link=found)


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.org/acme/shop/7", GITHUB, f"{GITLAB}/issues", "https://["),
        *("https://slack.com.evil/archives/C07/p1712345678000200", f"{DISCORD}/x"),
    ],
)
def test_other_links_are_about_none(url):
    assert isinstance(parse(f"join {url}"), Prompt)
