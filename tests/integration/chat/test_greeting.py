"""What a channel of Slack is told when the bot is added to it."""

from collections.abc import AsyncIterator

import pytest

from bot.conversation import greeting
from tests.fakes.slack import Bad, Mishap
from tests.fakes.slack.world import Channel
from tests.integration.chat.slack_rig import Office, open_office
from tests.support.shift import Shift, until


@pytest.fixture
async def office(town) -> AsyncIterator[Office]:
    async with open_office(town) as office:
        yield office


def quiet(office: Office) -> Channel:
    """A channel that the bot is not in."""
    return office.slack.channel(office.team, "quiet", office.ann, office.bo)


def greetings(office: Office, channel: Channel) -> list[str]:
    return [one.text for one in channel.messages if one.author is office.bot.user and one.install]


async def test_three_lines_say_the_project_how_to_ask_and_how_to_stop(office):
    channel = quiet(office)
    async with office.serving():
        office.ann.invites(channel, office.bot.user)
        await office.heard()
    (said,) = greetings(office, channel)
    about, ask, stop = said.split("\n")
    assert "work on demo" in about
    assert "`@ona`" in ask
    assert "`stop`" in stop
    assert channel.messages[-1].thread_ts is None


async def test_the_project_that_is_set_for_the_channel_is_named(office):
    channel = quiet(office)
    await office.town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'web', '/srv/web', 'shell') RETURNING id"
    )
    await office.town.rows(
        "INSERT INTO channel (id, surface, address, project_id) SELECT gen_random_uuid(), 'slack',"
        " :channel, id FROM project WHERE name = 'web' RETURNING id",
        channel=f"{office.team.id}/{channel.id}",
    )
    async with office.serving():
        office.ann.invites(channel, office.bot.user)
        other = office.slack.channel(office.team, "other", office.ann)
        office.ann.invites(other, office.bot.user)
        await office.heard()
    assert "work on web" in greetings(office, channel)[0]
    assert "No project is set" in greetings(office, other)[0]


async def test_two_buttons_say_whether_the_bot_follows_whom_it_answered(office, places):
    channel = quiet(office)
    async with office.serving(), Shift(office.town, places, "w"):
        office.ann.invites(channel, office.bot.user)
        await office.heard()
        (greeted,) = (one for one in channel.messages if one.install)
        assert "without it" in greeted.text
        office.bo.clicks(greeted, "Mention only")
        await office.slack.until(lambda: "each time" in greeted.text)
        asked = office.ann.says(channel, f"{office.bot.user.mention} !echo one")
        office.ann.says(channel, "!echo two", thread=asked)
        await office.heard()
        office.bo.clicks(greeted, "Follow me")
        await office.slack.until(lambda: "without it" in greeted.text)
        office.ann.says(channel, "!echo three", thread=asked)
        await until(office.town, "SELECT 1 FROM prompt", lambda rows: len(rows) == 2)
    texts = "SELECT text FROM delivery ORDER BY event"
    assert await office.town.rows(texts) == [("echo one",), ("echo three",)]


async def test_a_guest_and_words_that_somebody_types_change_nothing(office):
    channel = quiet(office)
    guest = office.slack.person(office.team, "gil", is_restricted=True)
    channel.members.append(guest)
    async with office.serving():
        office.ann.invites(channel, office.bot.user)
        await office.heard()
        (greeted,) = (one for one in channel.messages if one.install)
        guest.clicks(greeted, "Mention only")
        office.ann.says(channel, f"{office.bot.user.mention} {greeting.MENTION_ONLY.says}")
        await office.heard()
    assert await office.town.rows("SELECT mention_only FROM channel") == [(False,)]


async def test_answered_once_a_channel_is_greeted_once_however_often_we_are_added(office):
    channel = quiet(office)
    async with office.serving(), office.serving():
        office.slack.mishap("member_joined_channel", Mishap(duplicate=True), Mishap(deaf=True))
        office.ann.invites(channel, office.bot.user)
        await office.acknowledged()
        office.ann.kicks(channel, office.bot.user)
        office.ann.invites(channel, office.bot.user)
        await office.acknowledged()
    assert len(greetings(office, channel)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        Bad(throttle_seconds=1),
        Bad(status=503),
        Bad(drop=True),
        Bad(drop_answer=True),
        Bad(answer_status=500),
    ],
)
async def test_answered_once_whatever_happens_to_the_greeting(office, bad, monkeypatch):
    monkeypatch.setattr(greeting, "TAKEN_SECONDS", 3.0)
    channel = quiet(office)
    async with office.serving():
        office.slack.behave("chat.postMessage", bad)
        office.ann.invites(channel, office.bot.user)
        await office.acknowledged()
    assert len(greetings(office, channel)) == 1


async def test_who_is_put_out_before_the_greeting_is_greeted_the_next_time(office):
    channel = quiet(office)
    async with office.serving():
        office.slack.behave("chat.postMessage", Bad(refused="not_in_channel"))
        office.ann.invites(channel, office.bot.user)
        await office.acknowledged()
        assert greetings(office, channel) == []
        office.ann.kicks(channel, office.bot.user)
        office.ann.invites(channel, office.bot.user)
        await office.acknowledged()
    assert len(greetings(office, channel)) == 1


async def test_a_channel_that_others_read_and_other_peoples_joining_are_not_greeted(office):
    other = office.slack.workspace("globex")
    shared = office.slack.channel(office.team, "shared", office.ann, shared_with=(other,))
    carl = office.slack.person(office.team, "carl")
    async with office.serving():
        office.ann.invites(shared, office.bot.user)
        office.ann.invites(office.general, carl)
        await office.heard()
    assert greetings(office, shared) == greetings(office, office.general) == []


@pytest.mark.parametrize(
    ("project", "count", "words"),
    [
        ("web", 2, "work on web"),
        (None, 2, "No project is set"),
        (None, 0, "There is no project yet"),
    ],
)
def test_there_are_three_lines_whatever_is_known(project, count, words):
    made = greeting.lines(project, count=count, mention="robo")
    assert len(made) == 3
    assert words in made[0]
    assert "@robo" in made[1]
