"""Runs report where their automations say, from their first look to their end."""

import asyncio

import pytest
from sqlalchemy import text

from bot.automate.running import Running
from bot.conversation.adding import unlooked
from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.conversation.run_ways import RunWays
from bot.govern import people
from bot.govern.agents import Agents
from bot.govern.rights import Rights
from bot.store.ids import new_id
from tests.fakes.chat import FakeChat
from tests.integration.automate.rig import automation, begin, project, targets
from tests.support.shift import Shift, until

SETTLED = "SELECT 1 FROM run WHERE settled_at IS NOT NULL"
POSTS = (
    "SELECT thread.place, session.short, reply.body FROM reply"
    " JOIN thread ON thread.id = reply.thread_id JOIN session ON session.id = thread.session_id"
    " ORDER BY reply.created_at, reply.id"
)


class Office(FakeChat):
    """A surface with a channel that Ann is in."""

    async def channel_of(self, near, person, name, deadline):
        return {("U1", "general"): "T1/C1"}.get((person, name))


@pytest.fixture
async def loop(town):
    """Lets runs of the town go on; Ann is known on Slack, and who runs them is nobody."""
    chat = Office("http://127.0.0.1:1")
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :ann, 'slack:T1', 'U1', 'ann') RETURNING id",
        id=new_id(),
        ann=town.people["Ann"],
    )
    async with town.database.begin() as tx:
        robot = await people.add_person(tx, "robot", is_service=True)
    town.people["robot"] = robot.person_id
    rights = Rights(town.database, {})
    ways = RunWays(
        town.database,
        rights,
        Agents(names=("shell",), default="shell"),
        check_repository=unlooked,
        posts=RunPosts(pages="https://ona.test"),
        places=RunPlaces(town.database, {"slack": chat}),
    )
    yield Running(town.database, ways, rights, poll_seconds=0.1, look_seconds=0.1)
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
