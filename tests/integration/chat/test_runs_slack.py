"""A fleet on Slack: one post that is edited, buttons below it, replies to it and to its targets."""

import pytest

from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.surfaces import open_surfaces
from bot.work import questions
from bot.work.asked import Question
from tests.integration.chat.slack_rig import open_office
from tests.support.runs import run_of, set_target


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


def in_channel(office, channel):
    """Posts of the bot that stand in the channel itself."""
    return [one for one in channel.public() if one.author is office.bot.user and not one.is_reply]


async def resolved(office, people):
    async with open_surfaces(office.settings, office.town.database, owner="test") as surfaces:
        places = RunPlaces(office.town.database, surfaces.ports)
        return await places.resolve(["slack:#payments", "slack:#secret"], people)


async def fleet(office, payments):
    """A run of four targets that reports in a channel: its posts, the run, what it posted."""
    town = office.town
    office.asks("remind me tomorrow 9 to stretch")
    await office.heard()
    ann = await town.value("SELECT person_id FROM identity WHERE surface LIKE 'slack:%'")
    places = await resolved(office, [town.people["Bo"], ann])
    assert [one.said for one in places.channels] == ["slack:#payments"]
    assert list(places.lost) == ["slack:#secret"]
    run = await run_of(town, ann, ("done", "failed", "running", "waiting"), report="always")
    posts = RunPosts(pages="https://ona.test")
    async with town.database.begin() as tx:
        await posts.open_reports(tx, run.id, places)
        await posts.progress(tx, run.id)
    await office.slack.until(lambda: in_channel(office, payments))
    (posted,) = in_channel(office, payments)
    return posts, run, posted


async def test_a_fleet_reports_in_its_channel_and_is_answered_there(office):
    town = office.town
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    office.slack.channel(office.team, "secret", office.bo, office.bot.user)
    async with office.serving():
        posts, run, posted = await fleet(office, payments)
        assert "1 done, 1 failed, 1 running, 1 waiting" in posted.text
        assert "#2 acme/repo-2: the tests failed" in posted.text

        mention = office.bot.user.mention
        office.ann.says(payments, f"{mention} #2 !echo two", thread=posted)
        await office.heard()
        office.ann.says(payments, f"{mention} !echo all", thread=posted)
        await office.heard()
        found = await town.rows(
            "SELECT session.short, delivery.text FROM prompt"
            " JOIN session ON session.id = prompt.session_id"
            " JOIN delivery ON delivery.prompt_id = prompt.id ORDER BY prompt.id"
        )
        assert found == [(run.sessions[2][1], "echo two"), (run.session, "echo all")]

        office.ann.clicks(posted, "Stop all")
        await office.heard()
        assert await town.value("SELECT stop_why FROM run") == "person"
        await set_target(town, run, 3, state="stopped")
        async with town.database.begin() as tx:
            await posts.finish(tx, run.id)
        await office.slack.until(lambda: len(in_channel(office, payments)) == 2)
        _, report = in_channel(office, payments)
        assert "stopped the run" in report.text
        office.ann.clicks(report, "Re-run failed")
        await office.heard()
        states = await town.rows("SELECT state FROM run_target ORDER BY place")
        assert [state for (state,) in states] == ["done", "waiting", "waiting", "waiting"]


async def test_the_button_of_a_target_s_question_answers_that_target(office):
    town = office.town
    payments = office.slack.channel(office.team, "payments", office.ann, office.bot.user)
    office.slack.channel(office.team, "secret", office.bo, office.bot.user)
    async with office.serving():
        _posts, run, posted = await fleet(office, payments)
        office.ann.says(payments, f"{office.bot.user.mention} #2 bump it", thread=posted)
        await office.heard()
        queue = town.queue("w")
        lease = await queue.claim()
        turn = await queue.begin_turn(lease, None)
        question = Question(key="q1", text="Deploy it too?", choices=("yes", "no"))
        async with town.database.begin() as tx:
            assert await questions.put(tx, lease, turn.id, question, seconds=600)

        def asked():
            below = payments.thread(posted.place)
            return next((one for one in below if "Deploy it too?" in one.text), None)

        await office.slack.until(asked)
        office.ann.clicks(asked(), "yes")
        await office.slack.until(lambda: "answered: yes" in asked().text)
    of = "SELECT session.short FROM question JOIN session ON session.id = question.session_id"
    assert await town.rows(f"{of} WHERE answer = 'yes'") == [(run.sessions[2][1],)]
    assert await town.value("SELECT count(*) FROM prompt") == 1
