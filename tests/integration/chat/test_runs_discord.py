"""A fleet on Discord: its post in the channel, buttons, what a target asks below it."""

import pytest

from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.surfaces import open_surfaces
from bot.work import questions
from bot.work.asked import Question
from tests.integration.chat.discord_rig import open_office
from tests.support.runs import run_of, set_target


@pytest.fixture
async def office(town):
    async with open_office(town) as office:
        yield office


async def resolved(office, people):
    async with open_surfaces(office.settings(), office.town.database, owner="test") as surfaces:
        places = RunPlaces(office.town.database, surfaces.ports)
        return await places.resolve(["discord:#general", "discord:#secret"], people)


async def fleet(office):
    """A run of four targets that reports in the channel: its posts, the run, what it posted."""
    town = office.town
    office.fake.channel(office.guild, "secret", office.app, private=True)
    await office.ready()
    office.asks("help", by=office.bo)
    await told(office, "")
    bo = await town.value("SELECT person_id FROM identity WHERE surface LIKE 'discord:%'")
    places = await resolved(office, [town.people["Ann"], bo])
    assert [one.said for one in places.channels] == ["discord:#general"]
    assert list(places.lost) == ["discord:#secret"]
    run = await run_of(town, bo, ("done", "failed", "running", "waiting"), report="always")
    posts = RunPosts(pages="https://ona.test")
    async with town.database.begin() as tx:
        await posts.open_reports(tx, run.id, places)
        await posts.progress(tx, run.id)
    return posts, run, await office.posted(office.general, "1 done", run.short)


async def told(office, words: str) -> None:
    """Wait until Bo alone is told so: there is no thread below what stands in the channel."""
    channel = office.bo.direct(office.app)
    await office.fake.until(lambda: any(words in one.text for one in office.bo.sees(channel)))


async def test_a_fleet_reports_in_its_channel_and_its_buttons_steer_it(office):
    town = office.town
    async with office.serving():
        posts, run, posted = await fleet(office)
        assert "1 done, 1 failed, 1 running, 1 waiting" in posted.text
        assert "#2 acme/repo-2: the tests failed" in posted.text.replace("\\", "")
        office.bo.clicks(posted, "Stop all")
        await told(office, f"Stopping {run.short}")
        assert await town.value("SELECT stop_why FROM run") == "person"
        await set_target(town, run, 3, state="stopped")
        async with town.database.begin() as tx:
            await posts.finish(tx, run.id)
        report = await office.posted(office.general, "stopped the run")
        office.bo.clicks(report, "Re-run failed")
        await told(office, "are run again")
        states = await town.rows("SELECT state FROM run_target ORDER BY place")
        assert [state for (state,) in states] == ["done", "waiting", "waiting", "waiting"]


async def test_the_button_of_a_target_s_question_answers_that_target(office):
    town = office.town
    async with office.serving():
        _posts, run, posted = await fleet(office)
        office.bo.opens_thread(posted, "bump")
        office.bo.says(posted.thread, f"<@{office.app.id}> #2 bump it")
        queue = town.queue("w")
        lease = None
        while lease is None:
            lease = await queue.claim()
        turn = await queue.begin_turn(lease, None)
        question = Question(key="q1", text="Deploy it too?", choices=("yes", "no"))
        async with town.database.begin() as tx:
            assert await questions.put(tx, lease, turn.id, question, seconds=600)
        asked = await office.posted(lambda: posted.thread, "Deploy it too?")
        office.bo.clicks(asked, "yes")
        await office.posted(lambda: posted.thread, "answered", "yes")
    of = "SELECT session.short FROM question JOIN session ON session.id = question.session_id"
    assert await town.rows(f"{of} WHERE answer = 'yes'") == [(run.sessions[2][1],)]
    assert await town.value("SELECT count(*) FROM prompt") == 1
