"""What meets at one moment: firings, stops, targets that begin, people who leave."""

import asyncio

import pytest
from sqlalchemy import text

from bot.automate.definition import Definition
from bot.automate.runs import run_rows, steering
from bot.automate.runs.stepping import STOPPED, Finish
from bot.errors import NothingToDo
from bot.work.control import Actor
from tests.integration.automate.happenings import schedule, taking, trigger
from tests.integration.automate.rig import acting, automation, begin, project, running
from tests.integration.conftest import Town
from tests.support.runs import DEFINITION, run_of

STEPS = [{"run": "true"}]
STATES = "SELECT state FROM run_target ORDER BY place"
_FIRED = text(
    "INSERT INTO firing (id, schedule_id, due_at, act_at)"
    " VALUES (gen_random_uuid(), :schedule, timestamptz '2026-11-28T16:00:00Z', now())"
)


async def stop(town: Town) -> None:
    """Ann stops the only run."""
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, await tx.scalar(text("SELECT short FROM run")))
        await steering.stop(tx, row, Actor(id=town.people["Ann"], name="Ann"), "person")


async def again(town: Town, which) -> None:
    """Ann has targets of the only run run again."""
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, await tx.scalar(text("SELECT short FROM run")))
        await steering.rerun(tx, row, Actor(id=town.people["Ann"], name="Ann"), which)


async def look(town: Town) -> None:
    await town.database.run(text("UPDATE run SET look_at = now()"))
    await running(town).once()


async def fleet(town: Town, **more) -> None:
    for name in ("one", "two", "three"):
        await project(town, name)
    context = {"projects": ["one", "two", "three"]}
    await begin(town, await automation(town, steps=STEPS, context=context, **more))


@pytest.mark.parametrize(
    ("overlap", "came"),
    [
        ("skip", [("dropped", "overlap"), ("taken", "")]),
        ("queue", [("taken", ""), ("waiting", "queued")]),
        ("cancel", [("dropped", "overlap"), ("taken", "")]),
    ],
)
async def test_two_firings_of_one_instant_make_one_run_at_a_time(town, overlap, came) -> None:
    automation_id = await automation(town, steps=STEPS, overlap=overlap)
    for _number in range(2):
        schedule_id = await schedule(town)
        await trigger(town, automation_id, "cron", schedule=schedule_id)
        await town.database.run(_FIRED, {"schedule": schedule_id})
    await asyncio.gather(*(taking(town).once() for _ in range(3)))
    # Whoever came while the first was being begun left the second for a moment.
    await town.database.run(
        text("UPDATE trigger_event SET act_at = now() WHERE state = 'waiting' AND why = ''")
    )
    await taking(town).once()
    found = "SELECT state, why FROM trigger_event ORDER BY state"
    if overlap == "cancel" and await town.value("SELECT count(*) FROM run") == 2:
        # The second came when the first was begun already, and took its place.
        came = [("taken", ""), ("taken", "")]
        assert await town.value("SELECT stop_why FROM run ORDER BY id LIMIT 1") == "cancelled"
    assert await town.rows(found) == came
    assert await town.value("SELECT count(*) FROM run WHERE stop_why = ''") == 1


async def test_what_is_run_again_while_the_run_is_being_stopped_is_refused_or_stopped(
    town,
) -> None:
    await run_of(town, town.people["Ann"], ("failed", "running", "waiting"))
    came = await asyncio.gather(stop(town), again(town, 1), return_exceptions=True)
    assert [type(one) for one in came if one is not None] in ([], [NothingToDo])
    first, *others = [state for (state,) in await town.rows(STATES)]
    assert first == ("failed" if came[1] else "stopped")
    assert others == ["running", "stopped"]
    assert await town.value("SELECT stop_why FROM run") == "person"


async def test_who_decided_before_a_target_was_run_again_does_not_end_it(town) -> None:
    await run_of(town, town.people["Ann"], ("waiting", "waiting"))
    (first,), _ = await town.rows("SELECT id FROM run_target ORDER BY place")
    run = (await town.database.run(text("SELECT id, short, runs_as_id FROM run"))).one()
    decided = Finish(id=first, state="stopped", why=STOPPED["person"])
    await stop(town)
    await again(town, 1)
    await acting(town).apply(run, Definition.model_validate(DEFINITION), decided)
    assert await town.rows(STATES) == [("waiting",), ("stopped",)]


async def test_a_run_that_is_stopped_as_its_targets_begin_leaves_nothing_that_runs(town) -> None:
    await fleet(town)
    await asyncio.gather(running(town).once(), running(town).once(), stop(town))
    await look(town)
    assert await town.rows(STATES) == [("stopped",)] * 3
    assert await town.rows("SELECT state FROM prompt WHERE state <> 'cancelled'") == []
    await look(town)
    assert await town.value("SELECT settled_at IS NOT NULL FROM run")


async def test_nothing_more_begins_in_the_name_of_who_left_after_targets_began(town) -> None:
    await fleet(town, limits={"parallel": 1})
    await look(town)
    await town.database.run(text("UPDATE person SET deactivated_at = now()"))
    await town.database.run(text("UPDATE run_target SET state = 'done' WHERE state = 'running'"))
    for _target in range(2):
        await look(town)
    assert await town.rows(STATES) == [("done",), ("failed",), ("failed",)]
    assert await town.value("SELECT count(*) FROM prompt") == 1
