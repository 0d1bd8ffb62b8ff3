"""Where others read along, what is of other places is told to who asked for it alone."""

import json
from dataclasses import replace

import pytest

from tests.integration.automate.rig import automation, project
from tests.integration.chat.conftest import SPOT
from tests.support.runs import run_of, set_target

OTHER = replace(SPOT, place="T/C/2")
DIRECT = replace(SPOT, channel="T/D", place="T/D/", direct=True)
HOME = "https://example.org/acme/demo.git"
ISSUE = replace(SPOT, channel="acme/demo", place="acme/demo#1", repository=HOME)
STEPS = [{"run": "true"}]
NEXT_ISSUE = replace(ISSUE, place="acme/demo#2")


async def said(town) -> str:
    """What everybody reads of us, wherever."""
    return json.dumps(await town.rows("SELECT body FROM reply"))


async def set_one(town, room, what, spot) -> str:
    before = len(await town.rows("SELECT 1 FROM reminder"))
    await room.say(f"remind me every day at 9 to {what}", spot=spot)
    short = await town.value("SELECT short FROM reminder ORDER BY created_at DESC LIMIT 1")
    assert len(await town.rows("SELECT 1 FROM reminder")) == before + 1
    return short


@pytest.fixture
async def demo(town):
    """The demo project has a repository."""
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=HOME)


async def hidden_automation(town) -> None:
    """One of a project that not everybody here may see."""
    other = await project(town, "hidden")
    one = await automation(town, steps=STEPS)
    await town.rows(
        "UPDATE automation SET project_id = :other, name = 'secretly' WHERE id = :one RETURNING id",
        other=other,
        one=one,
    )


async def test_reminders_are_listed_to_who_has_them_alone(town, room):
    await set_one(town, room, "buy a ring", DIRECT)
    await room.say("!one")
    before = await said(town)
    await room.say("reminders")
    assert await said(town) == before, "others read along"
    assert room.whispers[-1][0] == "ann"
    assert "buy a ring" in room.whispers[-1][1]
    room.whispers.clear()
    await room.say("reminders", spot=DIRECT)
    assert "active" not in before
    assert room.whispers == [], "it stands in the direct message"
    assert (await said(town)).count("buy a ring") == before.count("buy a ring") + 1


async def test_a_reminder_is_shown_in_the_thread_where_it_was_set_alone(town, room):
    short = await set_one(town, room, "drink water", SPOT)
    await room.say("!one", spot=OTHER)
    await room.say(f"reminders yes {short}")
    await room.say(f"reminders show {short}")
    before = await said(town)
    assert before.count("drink water") == 2
    assert f"Saved as {short}" in before
    assert room.whispers == []
    await room.say(f"reminders show {short}", spot=OTHER)
    assert await said(town) == before
    assert "drink water" in room.whispers[-1][1]


async def test_beside_an_issue_the_reminders_of_that_place_alone_are_told(town, room, demo):
    private = await set_one(town, room, "buy a ring", DIRECT)
    await set_one(town, room, "water plants", NEXT_ISSUE)
    await set_one(town, room, "drink water", ISSUE)
    before = await said(town)
    await room.say("reminders", spot=ISSUE)
    await room.say(f"reminders show {private}", spot=ISSUE)
    told = (await said(town)).removeprefix(before[:-1]) + str(room.whispers)
    assert "drink water" in told
    assert "buy a ring" not in told
    assert "water plants" not in told
    assert "nobody here whom I could answer alone" in told


async def test_beside_an_issue_without_reminders_that_is_said(town, room, demo):
    await set_one(town, room, "buy a ring", DIRECT)
    await room.say("reminders", spot=ISSUE)
    assert "None of your reminders was set here" in str(room.whispers)


async def test_automations_are_listed_to_who_asked_alone(town, room, demo):
    await hidden_automation(town)
    await automation(town, steps=STEPS)
    await room.say("project=demo !one")
    before = await said(town)
    await room.say("automations")
    assert await said(town) == before
    assert "secretly" in room.whispers[-1][1]
    await room.say("!two", spot=ISSUE)
    await room.say("automations", spot=ISSUE)
    after = await said(town)
    assert "nightly" in after
    assert "secretly" not in after


async def hidden_run(town):
    """A run of another project than demo."""
    run = await run_of(town, town.people["Ann"], ("done",))
    other = await project(town, "hidden")
    await town.rows("UPDATE run SET project_id = :p, name = 'secretly' RETURNING id", p=other)
    await set_target(town, run, 1, report="of secrets", project_id=other)
    return run


async def test_runs_are_listed_to_who_asked_alone(town, room, demo):
    hidden = await hidden_run(town)
    await room.say("project=demo !one")
    before = await said(town)
    await room.say("runs")
    await room.say(f"runs show {hidden.short}")
    assert await said(town) == before
    assert "secretly" in room.whispers[-2][1]
    assert "of secrets" in room.whispers[-1][1]
    await room.say("!two", spot=ISSUE)
    await room.say("runs", spot=ISSUE)
    await room.say(f"runs show {hidden.short}", spot=ISSUE)
    told = await said(town)
    assert "of secrets" not in told
    assert "secretly" not in told
    assert "nobody here whom I could answer alone" in told + str(room.whispers)


async def test_a_run_of_the_project_is_shown_in_its_threads(town, room, demo):
    run = await run_of(town, town.people["Ann"], ("done",))
    await set_target(town, run, 1, report="all green")
    await room.say("!one")
    await room.say(f"runs show {run.short}")
    assert "all green" in await said(town)
    assert room.whispers == []


async def test_a_fleet_s_targets_elsewhere_are_told_to_who_asked_alone(town, room, demo):
    fleet = await run_of(town, town.people["Ann"], ("failed", "failed"))
    other = await project(town, "hidden")
    await set_target(town, fleet, 2, project_id=other, repository="acme/hidden")
    await room.say("!one")
    await room.say("!one", spot=ISSUE)
    await room.say(f"runs show {fleet.short}")
    assert "acme/hidden" not in await said(town)
    assert "acme/hidden" in room.whispers[-1][1]
    await room.say(f"runs show {fleet.short}", spot=ISSUE)
    told = await said(town)
    assert "acme/repo-1" in told
    assert "acme/hidden" not in told


async def test_what_began_where_few_read_is_not_listed_where_everybody_does(town, room, demo):
    inner = replace(ISSUE, place="acme/demo#1/internal", narrow=True)
    other = replace(NEXT_ISSUE, place="acme/demo#2/internal", narrow=True)
    for spot, command in ((inner, "!leak"), (other, "!burglary"), (NEXT_ISSUE, "!typo")):
        await room.say(command, spot=spot)

    async def listed(spot) -> str:
        before = len(await town.rows("SELECT id FROM reply"))
        await room.say("sessions", spot=spot)
        rows = await town.rows("SELECT body FROM reply ORDER BY created_at, id")
        return json.dumps(rows[before:]) + str(room.whispers)

    told = await listed(ISSUE)
    assert "typo" in told
    assert "leak" not in told
    assert "burglary" not in told
    told = await listed(inner)
    assert "leak" in told, "it was said there"
    assert "burglary" not in told, "others read that"


INNER = replace(ISSUE, place="acme/demo#1/internal", narrow=True)


async def session_of(town, place) -> str:
    return await town.value(
        "SELECT short FROM thread JOIN session ON session.id = session_id WHERE place = :place",
        place=place,
    )


async def test_a_narrow_session_is_joined_where_nobody_reads_along_alone(town, room, demo):
    await room.say("!leak", spot=INNER)
    short = await session_of(town, INNER.place)
    for spot in (ISSUE, OTHER):
        before = await said(town)
        await room.say(f"join {short}", spot=spot)
        told = (await said(town)).removeprefix(before[:-1]) + str(room.whispers)
        assert "Fewer people may see" in told
        assert "leak" not in told
    assert await town.value("SELECT count(*) FROM thread") == 1
    await room.say(f"join {short}", spot=DIRECT)
    assert await session_of(town, DIRECT.place) == short


async def test_what_is_said_where_few_read_makes_any_session_narrow_and_it_stays_so(
    town, room, demo
):
    await room.say("!typo", spot=ISSUE)
    await room.say("!other", spot=NEXT_ISSUE)
    first = await session_of(town, ISSUE.place)
    narrow = "SELECT narrow FROM session WHERE short = :short"
    assert await town.value(narrow, short=first) is False
    await room.say(f"join {first}", spot=INNER)
    assert await town.value(narrow, short=first) is True
    await room.say(f"join {await session_of(town, NEXT_ISSUE.place)}", spot=INNER)
    assert await town.value(narrow, short=first) is True
    closed = replace(NEXT_ISSUE, narrow=True)
    await room.say("!secretly", spot=closed)
    assert await town.rows("SELECT 1 FROM session WHERE NOT narrow") == []


async def test_a_narrow_session_tells_its_queue_where_few_read_alone(town, room, demo):
    await room.say("!leak", spot=INNER)
    branch = await town.value("SELECT branch FROM session")
    await room.say("!more", spot=replace(NEXT_ISSUE, branch=branch))
    assert await town.value("SELECT count(*) FROM session") == 1
    for command in ("queue", "status", "retry"):
        before = await said(town)
        await room.say(command, spot=NEXT_ISSUE)
        told = (await said(town)).removeprefix(before[:-1]) + str(room.whispers)
        assert "Fewer people may see" in told
        assert "leak" not in told
    await room.say("queue", spot=INNER)
    assert "leak" in await said(town)


async def test_from_where_few_read_a_session_of_another_repository_is_not_joined(town, room, demo):
    await project(town, "hidden")
    await room.say("project=hidden !one")
    await room.say(f"join {await session_of(town, SPOT.place)}", spot=INNER)
    assert "works on another repository" in await said(town) + str(room.whispers)
    assert await town.rows("SELECT place, narrow FROM thread, session") == [(SPOT.place, False)]
