"""One row that can't be acted on is put off, and at last fails and is said; the others go on.

What is wrong with a row is a constraint of this test's own database that only this row breaks.
"""

from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from bot.automate.backing_off import back_off
from bot.automate.runs import run_rows, steering
from bot.automate.runs.stepping import DELETED, TRIES_MAX, UNREADABLE, why_failed
from bot.automate.triggers import trigger_firings
from bot.automate.triggers.after import ended as run_ended
from bot.automate.triggers.taking_decided import ATTEMPTS_MAX
from bot.errors import Refused, TryAgain
from bot.words.catalogue import gettext as _
from bot.work.control import Actor
from tests.integration.automate.happenings import (
    EVENTS,
    NOTICES,
    due,
    happen,
    schedule,
    taking,
    trigger,
)
from tests.integration.automate.rig import automation, begin, project, running
from tests.integration.conftest import Town
from tests.support.runs import run_of

STEPS = [{"run": "true"}]
FIRINGS = "SELECT state, why, attempts FROM firing ORDER BY due_at"
TARGETS = "SELECT repository, state, why, tries FROM run_target ORDER BY place"
STATES = "SELECT state, why FROM run_target ORDER BY place"


async def refuse(town: Town, table: str, check: str) -> None:
    """Let no row of the table be written for which that does not hold."""
    await town.database.run(text(f"ALTER TABLE {table} ADD CHECK ({check}) NOT VALID"))


async def away(town: Town, table: str, *, state: str = "admin_shutdown", when: str = "") -> None:
    """Whoever writes such rows to the table hears that the server shuts down, or something else."""
    await town.database.run(
        text(
            "CREATE FUNCTION shuts_down() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" RAISE EXCEPTION 'it shuts down' USING ERRCODE = '{state}'; END $$"
        )
    )
    await town.database.run(
        text(
            f"CREATE TRIGGER shuts_down BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
            f" {when and f'WHEN ({when})'} EXECUTE FUNCTION shuts_down()"
        )
    )


async def fired(town: Town, name: str, minute: int) -> UUID:
    """An automation whose time has come, the earlier the smaller the minute; its trigger."""
    automation_id, schedule_id = (
        await automation(town, name=name, steps=STEPS),
        await schedule(town),
    )
    trigger_id = await trigger(town, automation_id, "cron", schedule=schedule_id)
    await town.database.run(
        text(
            "INSERT INTO firing (id, schedule_id, due_at, act_at)"
            " SELECT gen_random_uuid(), :schedule, at, at FROM"
            " (SELECT timestamptz '2026-11-28T16:00:00Z' + make_interval(mins => :minute) AS at)"
        ),
        {"schedule": schedule_id, "minute": minute},
    )
    return trigger_id


async def fire_to_the_end(town: Town) -> None:
    for _attempt in range(ATTEMPTS_MAX):
        await town.database.run(text("UPDATE firing SET act_at = now() WHERE state = 'due'"))
        await taking(town).once()


async def test_a_firing_that_raises_is_put_off_and_the_others_become_runs(town) -> None:
    bad = await fired(town, "bad", 0)
    await fired(town, "good", 1)
    await refuse(town, "trigger_event", f"trigger_id <> '{bad}'")
    await taking(town).once()
    assert await town.rows(FIRINGS) == [("due", "", 1), ("done", "", 0)]
    assert await town.rows("SELECT name FROM run") == [("good",)]
    wait = await town.value("SELECT act_at - now() FROM firing WHERE state = 'due'")
    assert timedelta(seconds=3) < wait <= timedelta(seconds=5)


async def test_a_firing_that_raises_however_often_fails_and_is_said(town) -> None:
    bad = await fired(town, "bad", 0)
    await refuse(town, "trigger_event", f"trigger_id <> '{bad}'")
    await fire_to_the_end(town)
    assert await town.rows(FIRINGS) == [("failed", "attempts", ATTEMPTS_MAX)]
    ((key, said),) = await town.rows(NOTICES)
    assert key.startswith("failed/")
    assert "could not be begun" in said


async def test_a_firing_of_which_nothing_can_be_told_is_not_tried_for_ever(town) -> None:
    bad = await fired(town, "bad", 0)
    await refuse(town, "trigger_event", f"trigger_id <> '{bad}'")
    await refuse(town, "automation_notice", "key NOT LIKE 'failed/%'")
    await fire_to_the_end(town)
    assert await town.rows(FIRINGS) == [("failed", "attempts", ATTEMPTS_MAX)]


async def test_a_database_that_is_away_is_no_fault_of_a_firing(town) -> None:
    await fired(town, "one", 0)
    await away(town, "trigger_event")
    with pytest.raises(psycopg.OperationalError):
        await taking(town).once()
    assert await town.rows(FIRINGS) == [("due", "", 0)]


@pytest.mark.parametrize(
    "state", ["query_canceled", "out_of_memory", "deadlock_detected", "program_limit_exceeded"]
)
async def test_what_the_server_says_of_one_firing_alone_is_in_no_other_s_way(town, state) -> None:
    bad = await fired(town, "bad", 0)
    await fired(town, "good", 1)
    await away(town, "trigger_event", state=state, when=f"NEW.trigger_id = '{bad}'")
    await taking(town).once()
    assert await town.rows(FIRINGS) == [("due", "", 1), ("done", "", 0)]
    assert await town.rows("SELECT name FROM run") == [("good",)]


async def test_one_transaction_puts_off_one_firing_as_that_may_have_taken_its_time(town) -> None:
    for minute in range(3):
        await fired(town, f"number-{minute}", minute)
    await refuse(town, "trigger_event", "false")
    for done in range(1, 4):
        async with town.database.begin() as tx:
            assert await trigger_firings.take(tx)
        assert await town.value("SELECT count(*) FROM firing WHERE attempts = 1") == done


async def two_with_events(town: Town, definition: str) -> tuple[UUID, UUID]:
    """Of the first, which has what `definition` is, something happened before the second's."""
    bad = await automation(town, name="bad", steps=STEPS)
    for key in ("b1", "b2"):
        await happen(town, await trigger(town, bad), key)
    good = await automation(town, name="good", steps=STEPS)
    await happen(town, await trigger(town, good), "g")
    await town.database.run(
        text("UPDATE automation SET definition = CAST(:definition AS jsonb) WHERE id = :id"),
        {"definition": definition, "id": bad},
    )
    return bad, good


@pytest.mark.parametrize("definition", ['{"limits": 5}', '{"limits": "none"}', "[1]", "7", "null"])
async def test_an_automation_that_can_t_be_read_at_all_pauses_and_is_in_nobody_s_way(
    town, definition
) -> None:
    await two_with_events(town, definition)
    await taking(town).once()
    assert await town.rows("SELECT name, state, why FROM automation ORDER BY name") == [
        ("bad", "paused", "unreadable"),
        ("good", "active", ""),
    ]
    assert {row[1:] for row in (await town.rows(EVENTS))[:2]} == {("dropped", "paused")}
    assert await town.rows("SELECT name FROM run") == [("good",)]


async def test_an_automation_of_which_nothing_can_be_decided_is_put_off(town) -> None:
    bad, _ = await two_with_events(town, '{"limits": 5}')
    await refuse(town, "automation", "state <> 'paused'")
    await taking(town).once()
    assert await town.rows("SELECT name FROM run") == [("good",)]
    ((count, attempts, least, most),) = await town.rows(
        "SELECT count(*), max(attempts), min(act_at) - now() AS least, max(act_at) - now() AS most"
        " FROM trigger_event WHERE state = 'waiting'"
    )
    assert (count, attempts) == (2, 1)
    assert timedelta(seconds=3) < least <= most <= timedelta(seconds=5)
    for _attempt in range(ATTEMPTS_MAX):
        await due(town)
        await taking(town).once()
    assert {row[1:] for row in (await town.rows(EVENTS))[:2]} == {("dropped", "failed")}
    ((key, _said),) = await town.rows(NOTICES)
    assert key.startswith("failed/")
    assert await town.rows("SELECT DISTINCT automation_id FROM automation_notice") == [(bad,)]


async def test_a_run_of_which_can_t_be_noted_what_came_is_begun_again_soon(town) -> None:
    narrow = {"limits": {"targets": 1}, "context": {"projects": ["demo", "gone"]}}
    await happen(town, await trigger(town, await automation(town, steps=STEPS, **narrow)), "k")
    await refuse(town, "trigger_event", "why <> 'too_many'")
    await taking(town).once()
    ((state, wait),) = await town.rows("SELECT state, act_at - now() FROM trigger_event")
    assert state == "waiting"
    assert wait <= timedelta(seconds=5)


async def test_a_trigger_that_can_t_be_read_does_not_keep_the_run_that_it_waits_for(town) -> None:
    ended = await automation(town, name="ended", steps=STEPS)
    after = await automation(town, name="later", steps=STEPS)
    said = {"automation": "ended", "outcomes": ["exploded"]}
    await trigger(town, after, "after", options={"after": said})
    await trigger(town, after, "after", options={"after": {"automation": "ended"}})
    await begin(town, ended)
    for state in ("running", "done"):
        await town.rows(f"UPDATE run_target SET state = '{state}' RETURNING id")
    await running(town, endings=[run_ended]).once()
    assert await town.value("SELECT settled_at IS NOT NULL FROM run")
    assert await town.value("SELECT count(*) FROM trigger_event") == 1


async def fleet(town: Town, **more) -> None:
    """A run that is to work in three projects."""
    names = ["one", "two", "three"]
    for name in names:
        await project(town, name)
    context = {"projects": names}
    await begin(town, await automation(town, steps=STEPS, context=context, **more))


async def look(town: Town) -> None:
    """Look at every run, once."""
    await town.database.run(text("UPDATE run SET look_at = now()"))
    await running(town).once()


async def look_to_the_end(town: Town) -> None:
    for _attempt in range(TRIES_MAX):
        await town.database.run(text("UPDATE run_target SET try_at = NULL"))
        await look(town)
    await look(town)


async def no_start_of(town: Town, name: str) -> None:
    await refuse(town, "run_target", f"repository <> '{name}' OR state <> 'running'")


async def test_a_target_that_raises_is_put_off_and_the_others_go_on(town) -> None:
    await fleet(town)
    await no_start_of(town, "one")
    await look(town)
    assert await town.rows(TARGETS) == [
        ("one", "waiting", "", 1),
        ("two", "running", "", 0),
        ("three", "running", "", 0),
    ]
    wait = await town.value("SELECT try_at - now() FROM run_target WHERE place = 1")
    assert timedelta(seconds=3) < wait <= timedelta(seconds=5)
    await look(town)
    assert (await town.rows(TARGETS))[0] == ("one", "waiting", "", 1), "it is not due yet"


async def test_one_that_is_put_off_takes_nobody_s_place(town) -> None:
    await fleet(town, limits={"parallel": 1})
    await no_start_of(town, "one")
    await look(town)
    await look(town)
    assert [row[1] for row in await town.rows(TARGETS)] == ["waiting", "running", "waiting"]


async def test_a_run_whose_last_target_is_put_off_is_neither_settled_nor_looked_at_at_once(
    town,
) -> None:
    await begin(town, await automation(town, steps=STEPS))
    await no_start_of(town, "demo")
    loop = running(town)
    assert await loop.once() == 1
    await town.database.run(text("UPDATE run SET look_at = now() + interval '1 hour'"))
    assert [await loop.once() for _ in range(3)] == [0, 0, 0]
    await look(town)
    assert not await town.value("SELECT settled_at IS NOT NULL FROM run")


async def test_a_target_that_raises_however_often_fails_with_why(town) -> None:
    await fleet(town)
    await no_start_of(town, "one")
    await look_to_the_end(town)
    first, *others = await town.rows(STATES)
    assert first[0] == "failed"
    assert f"tried {TRIES_MAX} times" in first[1]
    assert "CheckViolation" in first[1]
    assert others == [("running", ""), ("running", "")]


async def test_a_target_whose_end_raises_fails_too(town) -> None:
    await begin(town, await automation(town, steps=STEPS))
    await look(town)
    await town.database.run(text("UPDATE run SET session_id = NULL"))
    await town.database.run(text("DELETE FROM session"))
    await refuse(town, "run_target", f"why <> '{DELETED}'")
    await look_to_the_end(town)
    ((state, why),) = await town.rows(STATES)
    assert (state, f"tried {TRIES_MAX} times" in why) == ("failed", True)
    assert await town.value("SELECT settled_at IS NOT NULL FROM run")


async def test_a_database_that_is_away_is_no_fault_of_a_target(town) -> None:
    await fleet(town)
    await away(town, "session")
    # One of a single target has no conversation of its own to be opened first.
    await town.database.run(text("DELETE FROM run_target WHERE place > 1"))
    with pytest.raises(psycopg.OperationalError):
        await running(town).once()
    assert await town.rows(TARGETS) == [("one", "waiting", "", 0)]


SETTLED = "SELECT settled_at IS NOT NULL FROM run"


async def explodes(_tx, _run_id) -> None:
    raise KeyError("x")


async def over(town: Town) -> UUID:
    """A run whose only target is done, and its automation."""
    automation_id = await automation(town, steps=STEPS)
    await begin(town, automation_id)
    for state in ("running", "done"):
        await town.rows(f"UPDATE run_target SET state = '{state}' RETURNING id")
    return automation_id


async def end_to_the_end(town: Town, *endings) -> None:
    for _attempt in range(TRIES_MAX):
        await town.database.run(text("UPDATE run SET look_at = now()"))
        await running(town, endings=endings).once()


async def test_a_run_whose_end_raises_is_put_off(town) -> None:
    await over(town)
    loop = running(town, endings=[explodes])
    await loop.once()
    assert not await town.value(SETTLED)
    ((tries, wait),) = await town.rows("SELECT tries, look_at - now() FROM run")
    assert tries == 1
    await town.database.run(text("UPDATE run SET tries = 3, look_at = now()"))
    await loop.once()
    ((tries, wait),) = await town.rows("SELECT tries, look_at - now() FROM run")
    assert tries == 4
    assert timedelta(seconds=30) < wait <= timedelta(seconds=40)
    assert await loop.once() == 0
    await town.database.run(text("UPDATE run SET look_at = now()"))
    await running(town).once()
    assert await town.rows("SELECT settled_at IS NOT NULL, tries FROM run") == [(True, 0)]
    assert await town.rows(NOTICES) == []


async def test_a_run_whose_end_raises_however_often_ends_as_far_as_it_does_and_says_so(
    town,
) -> None:
    automation_id, ended = await over(town), []

    async def note(_tx, run_id) -> None:
        ended.append(run_id)

    await end_to_the_end(town, explodes, note)
    assert await town.value(SETTLED)
    assert ended == [await town.value("SELECT id FROM run")]
    ((key, said),) = await town.rows(NOTICES)
    assert key.startswith("end/")
    assert "not all that its end asks for" in said
    assert await town.rows("SELECT DISTINCT automation_id FROM automation_notice") == [
        (automation_id,)
    ]


async def test_an_end_of_which_nothing_can_be_told_is_not_tried_for_ever(town) -> None:
    await over(town)
    await refuse(town, "automation_notice", "key NOT LIKE 'end/%'")
    await end_to_the_end(town, explodes)
    assert await town.value(SETTLED)


async def test_a_database_that_is_away_is_no_fault_of_a_run_s_end(town) -> None:
    await over(town)

    async def shuts_down(_tx, _run_id) -> None:
        raise psycopg.errors.AdminShutdown

    with pytest.raises(psycopg.OperationalError):
        await running(town, endings=[shuts_down]).once()
    assert await town.rows("SELECT settled_at, tries FROM run") == [(None, 0)]


async def test_a_run_that_can_t_be_told_where_it_reports_goes_on_and_says_so_at_its_end(
    town,
) -> None:
    await begin(town, await automation(town, steps=STEPS, report_to=["slack:#ops"]))
    await refuse(town, "run", "reports = '[]'")
    await look(town)
    assert await town.rows("SELECT state FROM run_target") == [("running",)]
    await town.rows("UPDATE run_target SET state = 'done' RETURNING id")
    await end_to_the_end(town)
    assert await town.value(SETTLED)
    assert len(await town.rows(NOTICES)) == 1


async def nothing_can_be_seen(town: Town, why: str) -> None:
    """A run of three targets, of which one runs, at each look at which something raises."""
    await fleet(town, limits={"minutes": 10, "parallel": 1})
    if why == "its conversation":
        await refuse(town, "thread", "surface <> 'run' OR place LIKE '%/%'")
        return
    await look(town)
    await town.database.run(text("UPDATE run SET seconds = 3600"))
    await refuse(town, "run", "stop_why = ''")


RAISES = pytest.mark.parametrize("why", ["its conversation", "its limits"])


@RAISES
async def test_a_run_at_which_looking_raises_is_put_off_and_the_others_go_on(town, why) -> None:
    await nothing_can_be_seen(town, why)
    await town.database.run(text("UPDATE run SET tries = 5"))
    await begin(town, await automation(town, name="good", steps=STEPS))
    await look(town)
    ((tries, wait),) = await town.rows(
        "SELECT tries, look_at - now() FROM run WHERE name = 'nightly'"
    )
    assert tries == 6
    assert timedelta(seconds=60) < wait <= timedelta(seconds=160)
    good = "SELECT target.state FROM run_target AS target JOIN run ON run.id = run_id"
    assert await town.rows(f"{good} WHERE name = 'good'") == [("running",)]


@RAISES
async def test_a_run_at_which_looking_raises_however_often_fails_and_says_so(town, why) -> None:
    await nothing_can_be_seen(town, why)
    for _attempt in range(TRIES_MAX):
        assert not await town.value(SETTLED)
        await look(town)
    assert await town.value(SETTLED)
    states = await town.rows(STATES)
    assert {state for state, _ in states} == {"failed"}
    assert all(f"tried {TRIES_MAX} times" in said for _, said in states)
    assert await town.rows("SELECT state FROM prompt WHERE state <> 'cancelled'") == []
    ((key, _said),) = await town.rows(NOTICES)
    assert key.startswith("end/")


async def test_a_run_of_which_can_t_be_told_how_far_it_is_goes_on(town) -> None:
    await begin(town, await automation(town, steps=STEPS))
    await refuse(town, "run", "told_at IS NULL")
    await look(town)
    assert await town.rows("SELECT state FROM run_target") == [("running",)]
    assert await town.value("SELECT tries FROM run") == 0


async def test_a_database_that_is_away_is_no_fault_of_what_is_told_of_a_run(town) -> None:
    await begin(town, await automation(town, steps=STEPS))
    await away(town, "run", when="NEW.told_at IS NOT NULL")
    with pytest.raises(psycopg.OperationalError):
        await running(town).once()
    assert await town.value("SELECT tries FROM run") == 0


async def test_a_run_that_is_put_off_is_not_looked_at_sooner_because_its_sessions_speak(
    town,
) -> None:
    await nothing_can_be_seen(town, "its conversation")
    await town.database.run(text("UPDATE run SET tries = 5"))
    loop = running(town)
    for _look in range(2):
        loop._hear_run(str(await town.value("SELECT id FROM run")))
        await loop.once()
    assert await town.value("SELECT tries FROM run") == 6


async def test_a_run_that_can_be_looked_at_again_has_all_its_tries(town) -> None:
    await fleet(town)
    await town.database.run(text("UPDATE run SET tries = 3"))
    await look(town)
    assert await town.value("SELECT tries FROM run") == 0


async def test_a_database_that_is_away_is_no_fault_of_a_run(town) -> None:
    await fleet(town)
    await away(town, "thread")
    with pytest.raises(psycopg.OperationalError):
        await running(town).once()
    assert await town.value("SELECT tries FROM run") == 0


async def test_a_run_of_which_not_even_its_end_can_be_written_is_looked_at_seldom(town) -> None:
    await nothing_can_be_seen(town, "its conversation")
    await refuse(town, "run_target", "state <> 'failed'")
    for _attempt in range(TRIES_MAX + 1):
        await look(town)
    ((tries, wait),) = await town.rows("SELECT tries, look_at - now() FROM run")
    assert tries == TRIES_MAX + 1
    assert wait > timedelta(seconds=290)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Refused(_("nobody may")), "nobody may"),
        (TryAgain("the host is away"), "tried 8 times: the host is away"),
        (KeyError("x"), "an error of ona's own (KeyError), of which its log tells more"),
    ],
)
def test_why_a_target_fails_is_said_in_words(error, why) -> None:
    assert why_failed(error).endswith(why)


def test_the_pause_before_a_target_is_tried_again_grows_to_a_most() -> None:
    assert [back_off(tries + 1) for tries in range(TRIES_MAX)] == [5, 10, 20, 40, 80, 160, 300, 300]


async def ended_step(town: Town) -> None:
    """The first step of the only target is over."""
    await begin(town, await automation(town, steps=[{"run": "true"}, {"run": "false"}]))
    await look(town)
    await town.database.run(
        text(
            "INSERT INTO turn (id, session_id, prompt_id, state, ended_at)"
            " SELECT gen_random_uuid(), session_id, id, 'succeeded', now() FROM prompt"
        )
    )
    for state in ("running", "done"):
        await town.rows(f"UPDATE prompt SET state = '{state}' RETURNING id")


async def test_a_target_that_goes_on_has_all_its_tries_again(town) -> None:
    await ended_step(town)
    await town.database.run(text("UPDATE run_target SET tries = 3, try_at = now()"))
    await look(town)
    assert await town.rows("SELECT step, tries, try_at FROM run_target") == [(1, 0, None)]


async def unreadable(town: Town, definition: str = '{"future": 1}'):
    """A run of which one target runs and one waits."""
    run = await run_of(town, town.people["Ann"], ("done", "running", "waiting"))
    await town.say("!sleep 100", session=run.sessions[2][1])
    await town.rows(
        "UPDATE run_target SET prompt_id = (SELECT id FROM prompt) WHERE place = 2 RETURNING id"
    )
    await town.database.run(
        text("UPDATE run SET definition = CAST(:definition AS jsonb)"), {"definition": definition}
    )
    return run


@pytest.mark.parametrize("definition", ['{"future": 1}', "[]", "null", '"x"'])
async def test_a_run_that_can_t_be_read_fails_and_is_settled(town, definition) -> None:
    await unreadable(town, definition)
    await look(town)
    await look(town)
    assert await town.rows(STATES) == [("done", ""), ("failed", UNREADABLE), ("failed", UNREADABLE)]
    assert await town.rows("SELECT state FROM prompt") == [("cancelled",)]
    assert await town.value("SELECT settled_at IS NOT NULL FROM run")


async def stop(town: Town, short: str) -> None:
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, short)
        ann = Actor(id=town.people["Ann"], name="Ann")
        await steering.stop(tx, row, ann, "person", surface="web")


async def test_a_run_that_can_t_be_read_is_stopped(town) -> None:
    run = await unreadable(town)
    await stop(town, run.short)
    await look(town)
    await look(town)
    assert [state for state, _ in await town.rows(STATES)] == ["done", "stopped", "stopped"]
    assert await town.value("SELECT settled_at IS NOT NULL FROM run")


async def test_a_stop_does_not_wait_for_what_is_put_off(town) -> None:
    run = await run_of(town, town.people["Ann"], ("running",))
    await town.database.run(text("UPDATE run_target SET try_at = now() + interval '1 hour'"))
    await stop(town, run.short)
    await look(town)
    assert [state for state, _ in await town.rows(STATES)] == ["stopped"]


async def test_what_is_run_again_has_all_its_tries(town) -> None:
    run = await run_of(town, town.people["Ann"], ("failed",))
    later = "now() + interval '1 hour'"
    await town.database.run(text(f"UPDATE run_target SET tries = {TRIES_MAX}, try_at = {later}"))
    async with town.database.begin() as tx:
        row = await run_rows.lock(tx, run.short)
        await steering.rerun(tx, row, Actor(id=town.people["Ann"], name="Ann"), "failed")
    assert await town.rows("SELECT state, tries, try_at FROM run_target") == [("waiting", 0, None)]
