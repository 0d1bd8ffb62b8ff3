"""A picture that an agent posted is shown in the threads of its session."""

import pytest

from bot.store.ids import new_id
from bot.work.queue import Event, append_events
from tests.integration.chat import discord_rig, slack_rig
from tests.support.shift import Shift

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
ADD = (
    "INSERT INTO picture (id, session_id, turn_id, media_type, data, caption, posted_at)"
    " SELECT :id, session_id, id, 'image/png', :data, 'The page', now() FROM turn"
    " RETURNING session_id"
)


@pytest.fixture
async def slack(town):
    async with slack_rig.open_office(town) as office:
        yield office


@pytest.fixture
async def discord(town):
    async with discord_rig.open_office(town) as office:
        yield office


async def post(town) -> None:
    """As `post_picture` does."""
    picture = new_id()
    session = await town.value(ADD, id=picture, data=PNG)
    event = Event(kind="picture", body={"picture": picture, "text": "The page"})
    async with town.database.begin() as tx:
        await append_events(tx, session, [event])


async def test_in_slack(slack, places):
    async with slack.serving(), Shift(slack.town, places, "w"):
        asked = slack.asks("!true")
        await slack.answered(asked, "Done")
        await post(slack.town)
        await slack.slack.until(lambda: "Picture: The page" in texts(slack.ours(asked)))
        shown = next(one for one in slack.ours(asked) if "The page" in one.text)
    (image,) = [one for one in shown.blocks if one["type"] == "image"]
    assert slack.slack.files[image["slack_file"]["id"]].data == PNG


async def test_in_discord(discord, places):
    async with discord.serving(), Shift(discord.town, places, "w"):
        await discord.ready()
        asked = discord.asks("!true")
        await discord.answered(asked, "Done")
        await post(discord.town)
        await discord.fake.until(
            lambda: any(one.attachments for one in discord.ann.sees(asked.thread))
        )
        (shown,) = [one for one in discord.ann.sees(asked.thread) if one.attachments]
    assert [one.data for one in shown.attachments] == [PNG]


def texts(messages) -> list[str]:
    return [one.text for one in messages]
