"""A halt ends turns and hands nothing out, on every worker, hint or no hint; resume undoes it."""

import asyncio
from contextlib import suppress
from itertools import combinations
from time import monotonic

import pytest
from sqlalchemy import text

from bot.config import DatabaseSettings, Settings
from bot.doctor.installation import check_halts
from bot.errors import NothingToDo
from bot.govern import halting
from bot.govern.access import Standing
from bot.govern.connecting import merge
from bot.govern.halt import halted
from bot.govern.halting import HaltWatch
from bot.store.ids import new_id
from bot.work import watching
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import DEMO, Town
from tests.support.shift import Shift, until

TURN = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at"
OUTPUT = "SELECT 1 FROM turn_event WHERE kind = 'output'"
HALTED_SECONDS_MAX = 5
SCOPES = [{}, {"project": "demo"}, {"person": "Ann"}]


def operator(town: Town) -> Standing:
    return Standing(person_id=town.people["Bo"], name="Bo", active=True, operator=True)


async def halt(town: Town, *, project=None, person=None, why="a key leaked", hints=True):
    async with town.database.begin() as tx:
        made = await halting.halt(tx, operator(town), project=project, person=person, why=why)
        if not hints:
            tx.hints.clear()
    return made


async def lift(town: Town, *, project=None, person=None):
    async with town.database.begin() as tx:
        return await halting.lift(tx, operator(town), project=project, person=person)


@pytest.mark.parametrize("hints", [True, False])
@pytest.mark.parametrize("scope", SCOPES)
async def test_turns_of_two_workers_end_within_five_seconds(
    town: Town, places: GuestWorkplaces, scope, hints
) -> None:
    for number in range(2):
        await town.say("!echo begun; sleep 600", place=f"t{number}")
    async with Shift(town, places, "first", turns_max=1), Shift(town, places, "second"):
        await until(town, OUTPUT, lambda rows: len(rows) == 2)
        owners = await town.rows("SELECT DISTINCT lease_owner FROM session")
        assert len(owners) == 2
        await town.say("!echo next", place="t0")
        began = monotonic()
        made = await halt(town, **scope, hints=hints)
        rows = await until(town, TURN, lambda rows: [one[0] for one in rows] == ["stopped"] * 2)
        assert monotonic() - began < HALTED_SECONDS_MAX
        assert all(f"stopped, because {made.told}" in why for _, why in rows)
        # The prompt behind is kept, and is handed out to nobody.
        await asyncio.sleep(0.3)
        waits = await town.rows("SELECT state FROM session ORDER BY position_last DESC")
        assert waits == [("queued",), ("idle",)]
        await lift(town, **scope)
        rows = await until(town, TURN, lambda rows: rows[-1][0] == "succeeded")
        assert len(rows) == 3


async def test_the_doctor_names_what_lifts_each_halt(town: Town, tmp_path) -> None:
    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=town.database.url))
    await halt(town, project="demo")
    await halt(town, person="Ann")
    said = (await check_halts(settings)).do
    assert said.startswith("`ona resume --project demo`, `ona resume --person Ann` lets it go on")


async def test_halts_and_what_lifts_them_are_in_the_audit(town: Town) -> None:
    for scope in SCOPES:
        await halt(town, **scope)
        named = "".join(f" --{key} {value}" for key, value in scope.items())
        with pytest.raises(NothingToDo, match=f"`ona resume{named}` lets it go on"):
            await halt(town, **scope)
        await lift(town, **scope)
        what = "".join(scope.values()) or "everything"
        with pytest.raises(NothingToDo, match=f"there is no halt of {what}"):
            await lift(town, **scope)
    said = "SELECT kind, who, place, body ->> 'why' FROM audit_event ORDER BY number"
    assert await town.rows(said) == [
        (kind, "Bo", place, "a key leaked")
        for place in ("everything", "project demo", "what Ann asks for")
        for kind in ("halt.set", "halt.lifted")
    ]
    projects = "SELECT project_id FROM audit_event WHERE place = 'project demo'"
    assert await town.rows(projects) == [(DEMO,)] * 2


async def test_what_a_halted_person_asks_is_kept_and_says_so(
    town: Town, places: GuestWorkplaces
) -> None:
    await halt(town, person="Ann")
    asked = await town.say("!echo hi", told_in_thread=True)
    assert asked.prompt_id is not None
    assert "What Ann asks for is halted by Bo: a key leaked" in asked.text
    assert "kept and waits" in asked.text
    again = await town.say("!echo more", told_in_thread=True)
    assert "kept and waits" in again.text
    told = await town.rows("SELECT body FROM reply WHERE key LIKE 'halt:%'")
    assert len(told) == 1
    assert "halted by Bo" in (await town.say("status")).text
    other = await town.say("!echo mine", by="Bo", place="b")
    assert other.text == "Accepted."
    async with Shift(town, places, "w"):
        await until(town, TURN, lambda rows: [one[0] for one in rows] == ["succeeded"])
        ((author,),) = await town.rows(
            "SELECT name FROM turn JOIN prompt ON prompt.id = prompt_id"
            " JOIN person ON person.id = author_id"
        )
        assert author == "Bo"
        await lift(town, person="Ann")
        await until(town, TURN, lambda rows: [one[0] for one in rows] == ["succeeded"] * 3)


async def test_a_machine_is_not_entered_for_a_turn_that_is_halted(
    town: Town, places: GuestWorkplaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    places.door.clear()
    await town.say("!echo hi")
    async with Shift(town, places, "w") as shift:
        async with asyncio.timeout(10):
            await places.knocked.wait()
        await halt(town, hints=False)
        await until(town, "SELECT state FROM session", lambda rows: rows == [("queued",)])
        await until(town, "SELECT 1", lambda _: shift.worker.busy == 0)
    assert await town.rows(TURN) == []


async def test_a_turn_that_no_worker_holds_is_fetched_and_ended(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!echo begun; sleep 600")
    async with Shift(town, places, "first"):
        await until(town, OUTPUT, bool)
    assert await town.rows("SELECT state, lease_owner FROM session") == [("queued", None)]
    await halt(town)
    async with Shift(town, places, "second"):
        await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert await town.value("SELECT state FROM session") == "idle"


async def test_the_queue_hands_out_what_the_decision_lets_through(town: Town) -> None:
    """Every set of halts against every pair of project and author: the statement and the rule."""
    other = new_id()
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (:id, 'site', '/srv/site', 'shell')"
        " RETURNING id",
        id=other,
    )
    for name in town.people:
        for project in ("demo", "site"):
            await town.say("!true", by=name, place=f"{name}{project}", project=project, new=True)
    every = [{}, {"project": "demo"}, {"project": "site"}, {"person": "Ann"}, {"person": "Bo"}]
    for count in range(len(every) + 1):
        for some in combinations(every, count):
            for scope in some:
                await halt(town, **scope)
            async with town.database.begin() as tx:
                halts = await halting.read(tx)
            free = {
                (project, town.people[name])
                for name in town.people
                for project in (DEMO, other)
                if halted(halts, project_id=project, person_id=town.people[name]) is None
            }
            assert await _handed_out(town) == free
            for scope in some:
                await lift(town, **scope)


async def _handed_out(town: Town) -> set[tuple[object, object]]:
    queue, leases, found = town.queue("w"), [], set()
    while (lease := await queue.claim()) is not None:
        leases.append(lease)
        author = await town.value(
            "SELECT author_id FROM prompt WHERE session_id = :id", id=lease.session_id
        )
        found.add((lease.project_id, author))
    assert await queue.next_due_seconds() is None, "what can't be claimed must not be waited for"
    for lease in leases:
        await queue.hand_back(lease)
    return found


@pytest.mark.parametrize("halted_before", [["Ann"], ["Bo"], ["Ann", "Bo"]])
async def test_two_people_who_become_one_stay_halted(town: Town, halted_before) -> None:
    for name in halted_before:
        await halt(town, person=name)
    async with town.database.begin() as tx:
        await merge(tx, keep=town.people["Ann"], gone=town.people["Bo"])
        (one,) = await halting.read(tx)
    assert one.person_id == town.people["Ann"]


async def test_a_halt_is_made_and_lifted_once(town: Town) -> None:
    await halt(town, project="demo")
    with pytest.raises(NothingToDo, match="project demo is halted by Bo"):
        await halt(town, project="demo")
    await halt(town)
    lifted, left = await lift(town)
    assert (lifted.what, [one.what for one in left]) == ("everything", ["project demo"])
    with pytest.raises(NothingToDo):
        await lift(town)


async def test_a_look_that_fails_does_not_end_the_watch(town: Town) -> None:
    async def renamed(before: str, after: str) -> None:
        async with town.database.begin() as tx:
            await tx.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))

    watch = HaltWatch(town.database)
    made = await halt(town)
    await watch.refresh()
    await renamed("halt", "halt_away")
    await watch.refresh()
    assert watch.halted(project_id=DEMO, person_id=None) == made
    await renamed("halt_away", "halt")
    await lift(town)
    await watch.refresh()
    assert watch.halted(project_id=DEMO, person_id=None) is None


async def test_a_process_that_can_not_ask_each_time_knows_of_a_halt_without_its_hint(
    town: Town,
) -> None:
    watch, stop, changed = HaltWatch(town.database, seconds=0.05), asyncio.Event(), asyncio.Event()
    watch.on_change(changed.set)
    running = asyncio.create_task(watch.run(stop))
    try:
        async with asyncio.timeout(10):
            await watch.read.wait()
            assert watch.halted(project_id=DEMO, person_id=None) is None
            made = await halt(town, project="demo", hints=False)
            await changed.wait()
        assert watch.halted(project_id=DEMO, person_id=None) == made
        assert watch.halted(project_id=None, person_id=town.people["Ann"]) is None
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await running
    # By construction: the slow poll, its look and the grace of a stopped job stay below the limit.
    assert halting.POLL_SECONDS < HALTED_SECONDS_MAX
    cancelled = watching.LOOK_SECONDS + watching.CANCEL_GRACE_SECONDS
    assert cancelled < HALTED_SECONDS_MAX
