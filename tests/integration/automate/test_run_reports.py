"""Runs report where their automations say, from their first look to their end."""

import asyncio

import pytest
from sqlalchemy import text

from bot.conversation.run_places import NO_CHANNEL
from bot.govern import people
from tests.integration.automate.rig import (
    Office,
    automation,
    begin,
    known_on_slack,
    project,
    reporting,
    targets,
)
from tests.support.shift import Shift, until

SETTLED = "SELECT 1 FROM run WHERE settled_at IS NOT NULL"
POSTS = (
    "SELECT thread.place, session.short, reply.body FROM reply"
    " JOIN thread ON thread.id = reply.thread_id JOIN session ON session.id = thread.session_id"
    " ORDER BY reply.created_at, reply.id"
)


@pytest.fixture
async def loop(town):
    """Lets runs of the town go on; Ann is known on Slack, and who runs them is nobody."""
    chat = Office("http://127.0.0.1:1")
    await known_on_slack(town)
    async with town.database.begin() as tx:
        robot = await people.add_person(tx, "robot", is_service=True)
    town.people["robot"] = robot.person_id
    yield reporting(town.database, chat)
    await chat.close()


async def approved(town, **said):
    """An automation that works in the name of a service account, approved by Ann."""
    automation_id = await automation(town, person="robot", report_to=["slack:#general"], **said)
    await town.database.run(
        text("UPDATE automation SET approved_by = :ann WHERE id = :id"),
        {"ann": town.people["Ann"], "id": automation_id},
    )
    return automation_id


async def test_who_approved_it_stands_for_what_a_service_account_posts(town, places, loop):
    automation_id = await approved(town, steps=[{"run": "echo all green"}, {"report": {}}])
    await begin(town, automation_id)
    stop = asyncio.Event()
    going = asyncio.create_task(loop.run(stop))
    async with Shift(town, places, "w"):
        await until(town, SETTLED, bool)
    stop.set()
    await going
    ((_, state, _, _, _, _, session),) = await targets(town)
    assert state == "done"
    ((place, of, body),) = await town.rows(POSTS)
    assert (place.partition("~")[0], of) == ("T1/C1/", session)
    assert "all green" in body


async def test_what_a_command_writes_is_not_posted_unless_a_step_reports_it(town, places, loop):
    await begin(town, await approved(town, steps=[{"run": "echo all green"}]))
    stop = asyncio.Event()
    going = asyncio.create_task(loop.run(stop))
    async with Shift(town, places, "w"):
        await until(town, SETTLED, bool)
    stop.set()
    await going
    assert await town.rows(POSTS) == []


async def test_a_target_that_fails_before_it_has_a_session_is_reported(town, loop):
    await project(town, "one")
    automation_id = await approved(town, steps=[{"run": "true"}], context={"projects": ["one"]})
    await begin(town, automation_id)
    await town.rows("UPDATE project SET removed_at = now() WHERE name = 'one' RETURNING id")
    async with asyncio.timeout(60):
        while not await town.rows(SETTLED):
            await loop.once()
            await asyncio.sleep(0.1)
    ((_, state, why, *_),) = await targets(town)
    assert (state, bool(why)) == ("failed", True)
    ((place, _, body),) = await town.rows(POSTS)
    assert place.startswith("T1/C1/~")
    assert "failed" in body


async def test_a_place_to_which_a_step_can_not_post_is_on_the_run_s_page(town, places, loop):
    steps = [{"run": "echo hi"}, {"post": {"to": "slack:#typo", "text": "Half of it is done."}}]
    await begin(town, await approved(town, steps=steps))
    stop = asyncio.Event()
    going = asyncio.create_task(loop.run(stop))
    async with Shift(town, places, "w"):
        await until(town, SETTLED, bool)
    stop.set()
    await going
    reports = {one["place"]: one.get("why") for one in await town.value("SELECT reports FROM run")}
    assert reports == {"slack:#typo": NO_CHANNEL, "slack:#general": None}
    assert await town.rows(POSTS) == []
