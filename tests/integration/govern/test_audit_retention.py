"""What the audit has of a project goes when its policy says so, and the chain stays whole."""

import asyncio

from bot.chores import run_clock
from bot.govern.audit import HERE
from bot.govern.audit_retention import expire_of_projects, spans
from bot.govern.policy import set_policy
from tests.integration.conftest import DEMO
from tests.integration.govern.test_audit_chain import (
    forge,
    happened,
    note,
    numbers,
    seal_all,
    verify,
)
from tests.support.shift import until

REMOVED = "SELECT body FROM audit_event WHERE kind = 'audit.removed'"


async def keeps(town, source):
    async with town.database.begin() as tx:
        return await set_policy(tx, DEMO, source, name="policy.toml", by=HERE)


async def expire(town):
    async with town.database.begin() as tx:
        return await expire_of_projects(tx)


async def aged(town, days):
    """What is not sealed yet happened so many days ago."""
    await forge(
        town.database,
        "UPDATE audit_event SET at = at - make_interval(days => :days)"
        " WHERE number > coalesce((SELECT max(audit_last) FROM audit_batch), 0)",
        days=days,
    )


async def test_what_a_project_keeps_no_longer_goes_and_the_rest_verifies(town):
    await forge(town.database, "DELETE FROM audit_event")
    mine = [happened(kind, project_id=DEMO) for kind in ("a.b", "a.c", "session.deleted", "a.d")]
    await note(town.database, mine[0], mine[1], happened("of.nobody"), *mine[2:])
    await aged(town, 31)
    old = await numbers(town.database)
    await seal_all(town.database)
    await note(town.database, happened("a.new", project_id=DEMO))
    await seal_all(town.database)
    assert await expire(town) == 0, "no policy says that any goes"
    await keeps(town, "[retention]\naudit_days = 30")
    await note(town.database, happened("a.late", project_id=DEMO))
    await aged(town, 31)
    assert await expire(town) == 3, "what is sealed, and of this project"
    left = await numbers(town.database)
    assert [one for one in old if one in left] == [old[2], old[3]]
    ((body,),) = await town.rows(REMOVED)
    assert body["numbers"] == [[old[0], old[1]], [old[4], old[4]]]
    assert (body["events"], body["days"], body["policy"]) == (3, 30, 1)
    await seal_all(town.database)
    found = await verify(town.database)
    assert (found.problem, found.deleted) == ("", 3)
    assert await expire(town) == 2, "what was not sealed then, and the policy that was set"
    await seal_all(town.database)
    assert (await verify(town.database)).problem == ""
    await forge(town.database, "DELETE FROM audit_event WHERE number = :n", n=old[2])
    assert f"audit event {old[2]} was removed" in (await verify(town.database)).problem


async def test_the_clock_removes_it(town):
    await note(town.database, happened("a.old", project_id=DEMO))
    await aged(town, 31)
    await seal_all(town.database)
    await keeps(town, "[retention]\naudit_days = 30")
    stop = asyncio.Event()
    clock = asyncio.create_task(run_clock(town.database, "w", stop))
    await until(town, REMOVED, bool)
    stop.set()
    await clock


def test_numbers_without_a_gap_are_a_span():
    assert spans([]) == []
    assert spans([3, 4, 5, 9, 11, 12]) == [[3, 5], [9, 9], [11, 12]]
