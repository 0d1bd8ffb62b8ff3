"""Events become runs, each once, or the reason why not, whoever takes them and whoever ends."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from bot.automate import trigger_rows
from bot.automate.runs.beginning import Begun, Cause
from bot.automate.triggers import events, trigger_firings
from bot.automate.triggers.events import EVENTS_PER_HOUR_MAX, KEPT_DAYS, Added, Event
from bot.automate.triggers.taking_decided import ATTEMPTS_MAX, LOOP_DEPTH_MAX
from bot.errors import Refused
from bot.govern import people
from bot.store.ids import new_id
from bot.words.catalogue import again
from scheduler.clock import LEASE_SECONDS, Clock
from scheduler.leader import Leader
from tests.integration.automate.happenings import (
    EVENTS,
    NOTICES,
    due,
    happen,
    schedule,
    settled,
    taking,
    trigger,
)
from tests.integration.automate.rig import automation, beginning
from tests.integration.conftest import Town

STEPS = [{"run": "true"}]
RUNS = "SELECT count(*) FROM run"


async def one_with(town: Town, kind: str = "push", **said):
    """An automation with one trigger; both ids."""
    automation_id = await automation(town, steps=STEPS, **said)
    return automation_id, await trigger(town, automation_id, kind)


async def test_an_event_becomes_a_run_with_what_is_known_of_it(town) -> None:
    _, push = await one_with(town)
    assert await happen(town, push, "push/main/1", "f:o/r@main", title="Fix") is Added.NEW
    assert await happen(town, push, "push/main/1") is Added.KNOWN
    assert await taking(town).once() == 1
    assert await taking(town).once() == 0
    assert await town.rows(EVENTS) == [("push/main/1", "taken", "")]
    ((why, key),) = await town.rows("SELECT trigger, key FROM run")
    assert why == {"kind": "push", "title": "Fix"}
    event = await town.value("SELECT id FROM trigger_event")
    assert key == f"event/{event}"
    assert await town.value("SELECT run_id IS NOT NULL FROM trigger_event")


async def test_more_about_the_same_makes_one_run_with_the_newest_facts(town) -> None:
    _, push = await one_with(town)
    for number in range(5):
        await happen(town, push, f"k{number}", "f:o/r#1", number=number)
    await happen(town, push, "other", "f:o/r#2")
    await taking(town).once()
    assert await town.value(RUNS) == 2
    states = await town.rows(EVENTS)
    assert states[0] == ("k0", "taken", "")
    assert {state[1:] for state in states[1:5]} == {("dropped", "coalesced")}
    of_first = "SELECT count(*) FROM trigger_event WHERE about = 'f:o/r#1' GROUP BY run_id"
    assert await town.rows(of_first) == [(5,)]
    newest = "SELECT count(*) FROM run WHERE trigger ->> 'number' = '4'"
    assert await town.value(newest) == 1


async def test_what_comes_soon_after_is_waited_for(town) -> None:
    _, push = await one_with(town)
    async with town.database.begin() as tx:
        event = Event(trigger_id=push, key="k", about="a", act_after_seconds=30)
        assert await events.put(tx, event)
        assert not await events.put(tx, event)
    assert await taking(town).once() == 0
    wait = await town.value("SELECT act_at - created_at FROM trigger_event")
    assert timedelta(seconds=29) < wait < timedelta(seconds=31)


@pytest.mark.parametrize(
    ("overlap", "second", "runs"),
    [
        ("skip", ("dropped", "overlap"), 1),
        ("queue", ("waiting", "queued"), 1),
        ("cancel", ("taken", ""), 2),
    ],
)
async def test_a_run_that_goes_on_is_in_the_way_as_the_automation_says(
    town, overlap, second, runs
) -> None:
    _, push = await one_with(town, overlap=overlap)
    await happen(town, push, "k1", "a")
    await taking(town).once()
    await happen(town, push, "k2", "a")
    await taking(town).once()
    assert (await town.rows(EVENTS))[1][1:] == second
    assert await town.value(RUNS) == runs
    stops = await town.rows("SELECT stop_why FROM run ORDER BY created_at")
    assert stops == ([("cancelled",), ("",)] if overlap == "cancel" else [("",)])
    if overlap == "queue":
        await settled(town)
        await due(town)
        await taking(town).once()
        assert await town.value(RUNS) == 2


async def test_only_a_run_of_the_same_about_the_same_that_nobody_has_stopped_makes_way(
    town,
) -> None:
    _, push = await one_with(town, overlap="cancel")
    other = await trigger(town, await automation(town, steps=STEPS, name="other"))
    await happen(town, push, "k1", "a")
    await happen(town, push, "k2", "b")
    await happen(town, other, "k3", "a")
    await taking(town).once()
    stopped = "UPDATE run SET stop_why = 'person' WHERE id = (SELECT run_id FROM trigger_event"
    await town.database.run(text(f"{stopped} WHERE key = 'k1')"))
    await happen(town, push, "k4", "a")
    await taking(town).once()
    assert await town.rows(
        "SELECT event.key, run.stop_why FROM run JOIN trigger_event AS event"
        " ON event.run_id = run.id ORDER BY event.key"
    ) == [("k1", "person"), ("k2", ""), ("k3", ""), ("k4", "")]


async def test_what_is_about_something_else_is_not_in_the_way(town) -> None:
    _, push = await one_with(town)
    for about in ("a", "b"):
        await happen(town, push, about, about)
        await taking(town).once()
    assert await town.value(RUNS) == 2


async def test_more_runs_than_there_may_be_are_left_out_and_that_is_said_once(town) -> None:
    _, push = await one_with(town, limits={"runs_per_hour": 2})
    for number in range(6):
        await happen(town, push, f"k{number}", f"a{number}")
        await taking(town).once()
    whys = [why for _, _, why in await town.rows(EVENTS)]
    assert whys == ["", "", "rate", "rate", "rate", "rate"]
    ((key, said),) = await town.rows(NOTICES)
    assert key.startswith("rate/")
    assert "runs_per_hour" in said


async def test_runs_that_people_begin_and_those_of_before_take_nothing_of_that_limit(town) -> None:
    first, push = await one_with(town, limits={"runs_per_hour": 1})
    await happen(town, push, "k1", "a1")
    await taking(town).once()
    await town.database.run(text("UPDATE run SET created_at = now() - interval '61 minutes'"))
    cause = Cause(kind="person", key="k", started_by=town.people["Ann"])
    assert (await beginning(town).begin(first, cause)).run_id is not None
    await happen(town, push, "k2", "a2")
    await taking(town).once()
    assert [why for _, _, why in await town.rows(EVENTS)] == ["", ""]


async def test_a_run_that_leads_to_itself_is_left_out_directly_and_round_a_corner(town) -> None:
    first, push = await one_with(town)
    await happen(town, push, "k1")
    await taking(town).once()
    run = str(await town.value("SELECT id FROM run"))
    await settled(town)
    await happen(town, push, "own", caused_by_run=run)
    second = await automation(town, steps=STEPS, name="second")
    there = await trigger(town, second)
    await happen(town, there, "there", caused_by_run=run)
    await taking(town).once()
    assert await town.rows("SELECT key, state, why FROM trigger_event ORDER BY key") == [
        ("k1", "taken", ""),
        ("own", "dropped", "loop"),
        ("there", "taken", ""),
    ]
    short = await town.value("SELECT short FROM run WHERE name = 'second'")
    await happen(town, push, "back", caused_by_run=short)
    await taking(town).once()
    assert await town.value("SELECT why FROM trigger_event WHERE key = 'back'") == "loop"
    ((_, said),) = await town.rows(NOTICES)
    assert "without end" in said
    assert await town.rows("SELECT DISTINCT automation_id FROM automation_notice") == [(first,)]


async def test_what_a_run_brought_about_is_known_of_the_run_into_which_it_is_coalesced(
    town,
) -> None:
    """Round a corner, in the moment in which a person does the same."""
    _, push = await one_with(town)
    there = await trigger(town, await automation(town, steps=STEPS, name="second"))
    await happen(town, push, "k1", "a")
    await taking(town).once()
    for pushed in range(3):
        newest = "SELECT short FROM run WHERE name = :name ORDER BY id DESC LIMIT 1"
        cause = await town.value(newest, name="nightly")
        await happen(town, there, f"a person's {pushed}", "b")
        await happen(town, there, f"the first's {pushed}", "b", caused_by_run=cause)
        await taking(town).once()
        await settled(town)
        cause = await town.value(newest, name="second")
        await happen(town, push, f"the second's {pushed}", "a", caused_by_run=cause)
        await taking(town).once()
    assert await town.rows("SELECT name, count(*) FROM run GROUP BY name ORDER BY name") == [
        ("nightly", 1),
        ("second", 3),
    ]
    last = "SELECT DISTINCT why FROM trigger_event WHERE key LIKE 'the second%'"
    assert await town.rows(last) == [("loop",)]


async def test_however_much_is_coalesced_into_one_run_it_is_one_step_of_a_chain(town) -> None:
    cause = None
    for step in range(LOOP_DEPTH_MAX + 2):
        of = await trigger(town, await automation(town, steps=STEPS, name=f"number-{step}"))
        for number in range(20):
            await happen(town, of, f"{step}/{number}", "a", caused_by_run=cause)
        await taking(town).once()
        cause = await town.value("SELECT short FROM run ORDER BY id DESC LIMIT 1")
    names = await town.rows("SELECT name FROM run ORDER BY name")
    assert names == [(f"number-{step}",) for step in range(LOOP_DEPTH_MAX + 1)]


async def test_the_branch_of_a_session_of_a_run_tells_of_that_run(town) -> None:
    _, push = await one_with(town)
    await town.say("!true")
    await happen(town, push, "k1")
    await taking(town).once()
    short = await town.value("SELECT short FROM session")
    await town.rows("UPDATE run_target SET session_id = (SELECT id FROM session) RETURNING id")
    await town.rows(
        "INSERT INTO session (id, short, project_id, creator_id, title, agent, branch)"
        " SELECT gen_random_uuid(), 's-again', project_id, creator_id, '', agent, 'ona/s-again'"
        "   FROM session RETURNING id"
    )
    await town.rows(
        "INSERT INTO thread (id, session_id, surface, place)"
        " SELECT gen_random_uuid(), session.id, 'run', run.short || '/1/1' FROM session, run"
        "  WHERE session.short = 's-again' RETURNING id"
    )
    await settled(town)
    await happen(town, push, "b0", branch="ona/s-again")
    await happen(town, push, "b1", branch=f"ona/{short}")
    await happen(town, push, "b2", branch=f"ona/{short}-2")
    await happen(town, push, "b3", branch="ona/s-zzzzz")
    await taking(town).once()
    rows = await town.rows("SELECT key, state, why FROM trigger_event ORDER BY key")
    assert rows[:4] == [
        ("b0", "dropped", "loop"),
        ("b1", "dropped", "loop"),
        ("b2", "dropped", "loop"),
        ("b3", "taken", ""),
    ]


async def test_nothing_of_a_paused_one_runs_and_what_is_halted_waits(town) -> None:
    paused = await trigger(town, await automation(town, steps=STEPS, state="paused"))
    halted_id = await automation(town, steps=STEPS, name="halted")
    halted = await trigger(town, halted_id)
    await town.rows(
        "INSERT INTO halt (id, scope, by_id) VALUES (gen_random_uuid(), 'all', :ann) RETURNING id",
        ann=town.people["Ann"],
    )
    await happen(town, paused, "p")
    await happen(town, halted, "h")
    await taking(town).once()
    rows = await town.rows("SELECT key, state, why FROM trigger_event ORDER BY key")
    assert rows == [("h", "waiting", "halted"), ("p", "dropped", "paused")]
    await town.rows("DELETE FROM halt RETURNING id")
    await due(town)
    await taking(town).once()
    assert await town.value("SELECT state FROM trigger_event WHERE key = 'h'") == "taken"


async def test_one_whose_person_is_deactivated_pauses_and_says_so(town) -> None:
    automation_id, push = await one_with(town)
    async with town.database.begin() as tx:
        await people.deactivate(tx, town.people["Ann"])
    await happen(town, push, "k")
    await taking(town).once()
    assert await town.rows(EVENTS) == [("k", "dropped", "paused")]
    state = await town.rows("SELECT state, why FROM automation WHERE id = :id", id=automation_id)
    assert state == [("paused", "runs_as")]
    ((_, said),) = await town.rows(NOTICES)
    assert "deactivated" in said


async def test_however_many_take_at_once_there_is_one_run_for_each(town) -> None:
    _, push = await one_with(town)
    for number in range(8):
        await happen(town, push, f"k{number}", f"a{number}")
    await asyncio.gather(*(taking(town).once() for _ in range(4)))
    await due(town)
    await taking(town).once()
    assert await town.value(RUNS) == 8
    assert {state for _, state, _ in await town.rows(EVENTS)} == {"taken"}


class Killed(BaseException):
    """What ends a process, as far as nobody can catch it."""


class Dies:
    """Ends like a killed process, before or after the run is there."""

    def __init__(self, town: Town, *, after: bool) -> None:
        self._begins, self._after = beginning(town), after

    async def begin(self, automation_id, cause: Cause) -> Begun:
        if self._after:
            await self._begins.begin(automation_id, cause)
        raise Killed


@pytest.mark.parametrize("after", [False, True])
async def test_who_ends_in_between_leaves_it_to_the_next_who_comes_to_one_run(town, after) -> None:
    _, push = await one_with(town)
    await happen(town, push, "k")
    with pytest.raises(Killed):
        await taking(town, Dies(town, after=after)).once()
    assert await taking(town).once() == 0, "it is held for a while"
    await due(town)
    await taking(town).once()
    assert await town.value(RUNS) == 1
    assert await town.rows(EVENTS) == [("k", "taken", "")]


async def test_who_ends_right_after_a_run_is_there_leaves_nothing_undone_that_follows_from_it(
    town,
) -> None:
    _, push = await one_with(town, overlap="cancel")
    await happen(town, push, "k1", "a")
    await taking(town).once()
    for key in ("k2", "k3"):
        await happen(town, push, key, "a")
    with pytest.raises(Killed):
        await taking(town, Dies(town, after=True)).once()
    first, second = await town.rows("SELECT id, stop_why FROM run ORDER BY id")
    assert (first[1], second[1]) == ("cancelled", "")
    of_second = "SELECT key, state FROM trigger_event WHERE run_id = :run ORDER BY key"
    found = await town.rows(of_second, run=second[0])
    assert found == [("k2", "taken"), ("k3", "dropped")]


async def test_an_older_run_makes_way_though_the_clock_was_set_back_since(town) -> None:
    _, push = await one_with(town, overlap="cancel")
    await happen(town, push, "k1", "a")
    await taking(town).once()
    await town.database.run(text("UPDATE run SET created_at = created_at + interval '1 hour'"))
    await happen(town, push, "k2", "a")
    await taking(town).once()
    assert await town.rows("SELECT stop_why FROM run ORDER BY id") == [("cancelled",), ("",)]


class Away:
    """A code host that can't be asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def begin(self, automation_id, cause: Cause) -> Begun:
        self.asked += 1
        raise Refused("the code host does not answer")


async def test_what_can_t_be_begun_is_tried_again_and_given_up_at_last(town) -> None:
    _, push = await one_with(town)
    await happen(town, push, "k")
    away = Away()
    await taking(town, away).once()
    ((state, pause),) = await town.rows("SELECT state, act_at - now() FROM trigger_event")
    assert state == "waiting"
    assert timedelta(seconds=3) < pause <= timedelta(seconds=5)
    for _attempt in range(ATTEMPTS_MAX):
        await due(town)
        await taking(town, away).once()
    assert away.asked == ATTEMPTS_MAX
    assert await town.rows(EVENTS) == [("k", "dropped", "failed")]
    ((key, _),) = await town.rows(NOTICES)
    assert key.startswith("failed/")


async def test_why_there_is_no_run_is_kept_and_said_once(town) -> None:
    _, push = await one_with(town, limits={"targets": 1}, context={"projects": ["demo", "gone"]})
    for key in ("k1", "k2"):
        await happen(town, push, key)
        await taking(town).once()
    assert [row[1:] for row in await town.rows(EVENTS)] == [("dropped", "too_many")] * 2
    ((key, _),) = await town.rows(NOTICES)
    assert key.startswith("too_many/")


async def test_a_due_moment_becomes_one_event_with_the_end_of_its_firing(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    schedule_id = await schedule(town)
    await trigger(town, automation_id, "cron", schedule=schedule_id)
    await town.rows(
        "INSERT INTO firing (id, schedule_id, due_at, missed)"
        " VALUES (gen_random_uuid(), :schedule, '2026-11-28T16:00:00Z', 2) RETURNING id",
        schedule=schedule_id,
    )
    await asyncio.gather(*(taking(town).once() for _ in range(3)))
    assert await town.rows("SELECT state FROM firing") == [("done",)]
    ((facts, state),) = await town.rows("SELECT facts, state FROM trigger_event")
    assert state == "taken"
    assert facts == {"due": "2026-11-28T16:00:00+00:00", "zone": "UTC", "missed": 2}
    assert await town.value("SELECT trigger ->> 'kind' FROM run") == "cron"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("UPDATE automation SET state = 'paused' RETURNING id", "paused"),
        ("UPDATE person SET deactivated_at = now() RETURNING id", "runs_as"),
        ("UPDATE project SET removed_at = now() RETURNING id", "project"),
    ],
)
async def test_a_due_moment_of_one_that_can_t_run_is_skipped(town, broken, why) -> None:
    automation_id = await automation(town, steps=STEPS)
    schedule_id = await schedule(town)
    await trigger(town, automation_id, "cron", schedule=schedule_id)
    await town.rows(broken)
    await town.rows(
        "INSERT INTO firing (id, schedule_id, due_at)"
        " VALUES (gen_random_uuid(), :schedule, now()) RETURNING id",
        schedule=schedule_id,
    )
    async with town.database.begin() as tx:
        assert await trigger_firings.take(tx) == 1
    assert await town.rows("SELECT state, why FROM firing") == [("skipped", why)]
    assert await town.value("SELECT state FROM automation") == "paused"
    assert await town.value("SELECT count(*) FROM trigger_event") == 0
    assert await town.value("SELECT count(*) FROM automation_notice") == (why != "paused")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("zone = 'Mars/Phobos'", "there is no time zone Mars/Phobos any more"),
        ("rule = '{}'", "when it is due can't be read any more"),
    ],
)
async def test_one_whose_time_can_t_be_read_any_more_pauses_and_says_so(town, broken, told) -> None:
    automation_id = await automation(town, steps=STEPS)
    schedule_id = await schedule(town)
    await trigger(town, automation_id, "cron", schedule=schedule_id)
    await town.rows(
        f"UPDATE schedule SET {broken}, due_at = now(), fire_at = now()"
        " WHERE id = :id RETURNING id",
        id=schedule_id,
    )
    leader = Leader(name="schedules", owner="a", seconds=LEASE_SECONDS)
    await Clock(town.database.begin, leader, new_id=new_id).tick()
    await taking(town).once()
    assert await town.rows("SELECT state, why FROM firing") == [("failed", "time")]
    assert await town.rows("SELECT state, why FROM automation") == [("paused", "time")]
    ((said,),) = await town.rows("SELECT said FROM automation_notice")
    assert again(said) == (
        f"The automation nightly is paused: {told}. Change its trigger and have that approved;"
        " then `automations resume nightly` lets it go on."
    )
    with pytest.raises(Refused, match="can't be read any more"):
        async with town.database.begin() as tx:
            await trigger_rows.resume(tx, automation_id)


async def test_a_storm_stays_within_its_limits(town) -> None:
    """So many events as there may be of a trigger, most about something else each."""
    _, push = await one_with(town, limits={"runs_per_hour": 3})
    await town.rows(
        "INSERT INTO trigger_event (id, trigger_id, key, about)"
        " SELECT gen_random_uuid(), :trigger, 'k' || n, 'a' || n % 1000"
        "   FROM generate_series(1, :count) AS n RETURNING id",
        trigger=push,
        count=EVENTS_PER_HOUR_MAX,
    )
    assert [await happen(town, push, f"more{number}") for number in range(3)] == [Added.FULL] * 3
    assert await happen(town, push, "k1") is Added.KNOWN
    assert await town.value("SELECT count(*) FROM trigger_event") == EVENTS_PER_HOUR_MAX
    looks = await taking(town).once()
    assert looks <= 3
    assert await town.value(RUNS) == 3
    left = "SELECT count(*) FROM trigger_event WHERE state = 'waiting'"
    assert await town.value(left) == 0
    keys = [key.split("/")[0] for key, _ in await town.rows(NOTICES)]
    assert sorted(keys) == ["full", "rate"]


async def test_old_events_are_forgotten_and_waiting_ones_are_not(town) -> None:
    _, push = await one_with(town)
    for key in ("old", "waiting", "new"):
        await happen(town, push, key)
    await town.database.run(
        text(
            "UPDATE trigger_event SET created_at = now() - make_interval(days => :days),"
            " state = CASE key WHEN 'old' THEN 'dropped' ELSE 'waiting' END WHERE key <> 'new'"
        ),
        {"days": KEPT_DAYS + 1},
    )
    async with town.database.begin() as tx:
        await events.expire(tx)
    assert [key for key, _, _ in await town.rows(EVENTS)] == ["waiting", "new"]


async def test_long_and_strange_keys_and_abouts_are_kept_apart(town) -> None:
    _, push = await one_with(town)
    keys = ["k" * 300, "k" * 301, "nul\0", "\ud800"]
    assert [await happen(town, push, key, key) for key in keys] == [Added.NEW] * 4
    assert [await happen(town, push, key, key) for key in keys] == [Added.KNOWN] * 4


async def test_an_event_of_a_trigger_that_is_gone_is_not_kept(town) -> None:
    _, push = await one_with(town)
    await town.rows("DELETE FROM automation_trigger RETURNING id")
    assert await happen(town, push, "k") is Added.FULL
    assert await town.rows(NOTICES) == []
