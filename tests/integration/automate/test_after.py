"""What the end of a run does: others begin, failures count, what has to be said is posted."""

import json

import pytest

from bot.automate import notices
from bot.automate.triggers import after, failing
from bot.automate.triggers.failing import FAILURES_MAX
from bot.conversation import automation_notices
from bot.words.catalogue import gettext as _
from tests.integration.automate.happenings import EVENTS, NOTICES, end, happen, taking, trigger
from tests.integration.automate.rig import automation, begin

STEPS = [{"run": "true"}]


@pytest.mark.parametrize(
    ("outcomes", "state", "stop_why", "begins"),
    [
        (None, "done", "", True),
        (None, "failed", "", False),
        (["failed", "stopped"], "failed", "", True),
        (["failed", "stopped"], "stopped", "person", True),
        (["failed", "stopped"], "done", "", False),
        (["succeeded"], "done", "time", False),
    ],
)
async def test_an_automation_begins_when_another_has_ended_so(
    town, outcomes, state, stop_why, begins
) -> None:
    first = await automation(town, steps=STEPS, name="first")
    second = await automation(town, steps=STEPS, name="second")
    options = {"after": {"automation": "first", **({"outcomes": outcomes} if outcomes else {})}}
    await trigger(town, second, "after", options=options)
    begun = await begin(town, first)
    await end(town, begun.run_id, state, stop_why=stop_why)
    await taking(town).once()
    runs = await town.rows("SELECT trigger FROM run WHERE name = 'second'")
    assert bool(runs) is begins
    if begins:
        assert runs[0][0]["run"] == begun.short
        assert runs[0][0]["kind"] == "after"


async def test_two_that_wait_for_each_other_stop_and_say_so(town) -> None:
    ids = {}
    for name, other in (("one", "two"), ("two", "one")):
        ids[name] = await automation(town, steps=STEPS, name=name)
        await trigger(town, ids[name], "after", options={"after": {"automation": other}})
    begun = await begin(town, ids["one"])
    await end(town, begun.run_id, "done")
    await taking(town).once()
    second = await town.value("SELECT id FROM run WHERE name = 'two'")
    await end(town, second, "done")
    await taking(town).once()
    assert await town.value("SELECT count(*) FROM run") == 2
    assert [why for _, _, why in await town.rows(EVENTS)] == ["", "loop"]
    ((_, said),) = await town.rows(NOTICES)
    assert "without end" in said


async def test_a_run_that_is_run_again_ends_again(town) -> None:
    first = await automation(town, steps=STEPS, name="first")
    second = await automation(town, steps=STEPS, name="second")
    options = {"after": {"automation": "first", "outcomes": ["succeeded", "failed"]}}
    await trigger(town, second, "after", options=options)
    begun = await begin(town, first)
    await end(town, begun.run_id, "failed")
    async with town.database.begin() as tx:
        await after.ended(tx, begun.run_id)
    assert len(await town.rows(EVENTS)) == 1
    await town.rows("UPDATE run_target SET state = 'waiting', attempt = 2 RETURNING id")
    await end(town, begun.run_id, "done")
    assert len(await town.rows(EVENTS)) == 2


async def test_what_waits_in_line_goes_on_at_the_end_of_a_run(town) -> None:
    automation_id = await automation(town, steps=STEPS, overlap="queue")
    push = await trigger(town, automation_id)
    for key in ("k1", "k2"):
        await happen(town, push, key)
    await taking(town).once()
    first = await town.value("SELECT id FROM run")
    assert await taking(town).once() == 0
    await end(town, first, "done")
    await taking(town).once()
    assert await town.value("SELECT count(*) FROM run") == 2


async def test_failures_in_a_row_pause_it_and_say_so_once(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    ends = ["failed", "failed", "done", "failed", "stopped", "failed", "failed", "failed"]
    for number, state in enumerate(ends):
        begun = await begin(town, automation_id, f"k{number}")
        if begun.run_id is not None:
            await end(town, begun.run_id, state)
    row = await town.rows("SELECT state, why, failures FROM automation")
    assert row == [("paused", "failures", FAILURES_MAX)]
    ((key, said),) = await town.rows(NOTICES)
    assert key.startswith("paused/failures/")
    assert "automations resume" in said
    audited = await town.rows("SELECT kind, who, body ->> 'why' FROM audit_event")
    assert audited == [("automation.paused", "ona", "failures")]


async def test_one_whose_targets_were_all_left_out_did_not_succeed(town) -> None:
    first = await automation(town, steps=STEPS, name="first", context={"projects": ["gone"]})
    second = await automation(town, steps=STEPS, name="second")
    await trigger(town, second, "after", options={"after": {"automation": "first"}})
    begun = await begin(town, first)
    assert await town.rows("SELECT state FROM run_target") == [("skipped",)]
    async with town.database.begin() as tx:
        await after.ended(tx, begun.run_id)
    assert await town.rows(EVENTS) == []
    assert await town.value("SELECT failures FROM automation WHERE name = 'first'") == 1


async def test_its_own_limit_that_ends_it_each_time_pauses_it(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    for number in range(FAILURES_MAX):
        begun = await begin(town, automation_id, f"k{number}")
        await end(town, begun.run_id, "stopped", stop_why="money")
    assert await town.value("SELECT why FROM automation") == "failures"


async def test_one_success_begins_the_count_anew(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    async with town.database.begin() as tx:
        told = [
            await failing.note(tx, automation_id, failed)
            for failed in (True, True, False, True, True, True, True)
        ]
    assert told == [False, False, False, False, False, True, False]


async def test_what_is_said_stands_where_the_last_run_reported_in_its_language_once(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    begun = await begin(town, automation_id)
    await town.say("!true")
    thread = await town.value("SELECT id FROM thread")
    await town.rows("UPDATE thread SET language = 'de' RETURNING id")
    reports = json.dumps([{"thread": str(thread), "place": "slack:#ops"}])
    await town.rows(
        "UPDATE run SET reports = CAST(:reports AS jsonb) WHERE id = :run RETURNING id",
        run=begun.run_id,
        reports=reports,
    )
    async with town.database.begin() as tx:
        said = _("The automation {automation} is paused: its project was removed.", automation="x")
        assert await notices.put(tx, automation_id, "k", said)
        assert not await notices.put(tx, automation_id, "k", said)
    for _look in range(2):
        async with town.database.begin() as tx:
            await automation_notices.tell(tx)
    bodies = await town.rows("SELECT body FROM reply WHERE key LIKE 'automation:%'")
    assert bodies == [("Die Automation x ist angehalten: Ihr Projekt wurde entfernt.",)]


async def test_what_has_nowhere_to_go_is_kept_for_the_page(town) -> None:
    automation_id = await automation(town, steps=STEPS)
    async with town.database.begin() as tx:
        await failing.without_owner(tx, automation_id, "nightly", "project")
        await automation_notices.tell(tx)
        assert len(await notices.newest(tx, automation_id)) == 1
        assert await notices.untold(tx) == []
    assert await town.value("SELECT count(*) FROM reply") == 0
