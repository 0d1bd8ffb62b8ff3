"""What a turn changed stands as a file in the thread in which it was asked for."""

import pytest

from bot.store.ids import new_id
from bot.work.queue import Event, append_events
from tests.fakes.slack import Bad
from tests.integration.chat import discord_rig, slack_rig
from tests.support.shift import Shift, until

PATCH = b"diff --git a/x b/x\n+changed\n"
ADD = (
    "INSERT INTO turn_diff (id, session_id, turn_id, name, data)"
    " SELECT :id, session_id, id, 's-1.diff', :data FROM turn RETURNING session_id, turn_id"
)
SENT = "SELECT id FROM reply WHERE starts_with(key, 'diff:') AND state = 'sent'"
DELIVERED = {"branch": "ona/x", "files": 1, "insertions": 1, "deletions": 0}


@pytest.fixture
async def slack(town):
    async with slack_rig.open_office(town) as office:
        yield office


@pytest.fixture
async def discord(town):
    async with discord_rig.open_office(town) as office:
        yield office


async def deliver(town) -> None:
    """As the delivery of the turn that runs does."""
    diff = new_id()
    ((session, turn),) = await town.rows(ADD, id=diff, data=PATCH)
    body = {**DELIVERED, "changes": {"id": diff, "whole": True}}
    async with town.database.begin() as tx:
        await append_events(tx, session, [Event(kind="delivered", body=body)], turn_id=turn)


@pytest.mark.parametrize("trouble", [None, Bad(status=503)])
async def test_in_slack_once_whatever_happens(slack, places, trouble):
    async with slack.serving(), Shift(slack.town, places, "w"):
        asked = slack.asks("!echo begun; sleep 5")
        await slack.answered(asked, "begun")
        await deliver(slack.town)
        if trouble is not None:
            slack.slack.behave("files.getUploadURLExternal", trouble)
        await slack.slack.until(lambda: any(one.files for one in slack.ours(asked)))
        await until(slack.town, SENT, bool)
        (shown,) = [one for one in slack.ours(asked) if one.files]
    assert shown.text.startswith("What this turn changed:")
    assert [one.data for one in shown.files] == [PATCH]
    assert shown.files[0].channels == [slack.general]
    assert slack.slack.limits.refused == {}


async def test_in_discord(discord, places):
    async with discord.serving(), Shift(discord.town, places, "w"):
        await discord.ready()
        asked = discord.asks("!echo begun; sleep 5")
        await discord.answered(asked, "begun")
        await deliver(discord.town)
        await discord.fake.until(
            lambda: any(one.attachments for one in discord.ann.sees(asked.thread))
        )
        (shown,) = [one for one in discord.ann.sees(asked.thread) if one.attachments]
    assert [one.data for one in shown.attachments] == [PATCH]
