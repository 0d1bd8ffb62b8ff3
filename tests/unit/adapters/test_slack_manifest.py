"""The app's manifest, its documentation, and what the code asks of Slack say the same."""

import re
from pathlib import Path

from adapters.chat.slack.examining import AGENT_SCOPES, SCOPES
from adapters.chat.slack.listening import EVENTS, SEND_TO_US

ROOT = Path(__file__).parents[3]
MANIFEST = (ROOT / "deploy" / "slack" / "manifest.yaml").read_text()


def listed(name: str) -> list[str]:
    """The entries of a list of the manifest; it is simple enough to be read line by line."""
    (block,) = re.findall(rf"^( +){name}:\n((?:\1 +- .*\n)+)", MANIFEST, re.MULTILINE)
    return re.findall(r"- (\S+)", block[1])


def test_the_manifest_asks_for_the_scopes_that_are_examined_and_documented():
    scopes = SCOPES | AGENT_SCOPES
    assert listed("bot") == sorted(scopes)
    page = (ROOT / "docs" / "slack.md").read_text()
    for scope, why in scopes.items():
        assert f"| `{scope}` | {why} |" in page


def test_the_manifest_subscribes_to_what_is_listened_to():
    subscribed = {name.partition(".")[0] for name in listed("bot_events")}
    assert subscribed == set(EVENTS)
    assert f"callback_id: {SEND_TO_US}" in MANIFEST
