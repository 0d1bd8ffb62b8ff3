"""Turns on the real queue, in a real guest program without a machine around it."""

import asyncio
import shutil

import pytest

from bot.metrics import WORK
from bot.work import watching
from bot.work.queue import Event
from bot.work.workplace import NoCapacity
from tests.fakes.guest import HostedGuest
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.support.shift import Shift, until

TURN = "SELECT state, outcome ->> 'summary', ran_seconds FROM turn ORDER BY started_at"
WAITING = """
    SELECT (body ->> 'place')::int, body ->> 'why' FROM turn_event
     WHERE body ->> 'step' = 'waiting' ORDER BY number
"""

STEPS = ("allowed", "machine", "grants", "begun", "briefed", "started")


def counted() -> dict[str, float]:
    """How often each step of a turn was timed in this process."""
    name = "ona_turn_step_seconds_count"
    return {step: WORK.get_sample_value(name, {"step": step}) or 0.0 for step in STEPS}


async def test_each_step_to_the_agent_s_start_is_timed_unless_it_fails(
    town: Town, places: GuestWorkplaces
) -> None:
    before = counted()
    places.full = NoCapacity("all machines of this host are in use")
    await town.say("!true")
    async with Shift(town, places, "w"):
        await until(town, WAITING, bool)
        assert counted()["machine"] == before["machine"]
        places.full = None
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    after = counted()
    assert after.pop("allowed") > before.pop("allowed")
    assert after == {step: count + 1 for step, count in before.items()}


async def test_the_time_limit_goes_on_when_another_process_takes_the_turn_over(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!echo begun; sleep 60")
    async with Shift(town, places, "first", seconds_max=60):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        await asyncio.sleep(0.5)
    ((state, _, ran),) = await town.rows(TURN)
    assert state == "running"
    assert ran >= 0.5
    async with Shift(town, places, "second", seconds_max=ran):
        ((_, why, _),) = await until(town, TURN, lambda rows: rows[0][0] == "timed_out")
    assert "time limit" in why


async def test_a_refusal_of_the_machine_ends_the_turn_and_is_told(
    town: Town, guest: HostedGuest, places: GuestWorkplaces
) -> None:
    shutil.rmtree(guest.jobs_directory)
    guest.jobs_directory.touch()
    await town.say("!echo hi")
    async with Shift(town, places, "w"):
        ((_, why, _),) = await until(town, TURN, lambda rows: rows and rows[0][0] == "failed")
    assert "no room for the job's output" in why
    assert await town.value("SELECT state FROM session") == "idle"


async def test_who_waits_for_capacity_keeps_no_slot_and_is_told_the_place(
    town: Town, places: GuestWorkplaces
) -> None:
    places.full = NoCapacity("all 2 machines of this host are in use")
    for number in range(4):
        await town.say("!true", place=f"t{number}")
    async with Shift(town, places, "w") as shift:
        rows = await until(town, WAITING, lambda rows: {place for place, _ in rows} == {1, 2, 3, 4})
        assert rows[0][1] == "all 2 machines of this host are in use"
        await until(town, "SELECT 1", lambda _: shift.worker.busy == 0)
        assert await town.rows("SELECT 1 FROM turn") == []
        places.full = None
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"] * 4)


async def test_who_waits_for_capacity_hears_how_far_the_template_is_that_is_built_meanwhile(
    town: Town, places: GuestWorkplaces
) -> None:
    built = """
        SELECT body -> 'template' FROM turn_event
         WHERE body ->> 'step' = 'waiting' ORDER BY number
    """
    told = [{"step": number, "of": 4} for number in (1, 2)]
    await town.say("!true")
    async with Shift(town, places, "w"):
        for number, template in enumerate(told, 1):
            places.full = NoCapacity("no machine is free", template=template)
            await until(town, built, lambda rows, number=number: len(rows) == number)
        places.full = None
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    assert [row[0] for row in await town.rows(built)] == told


async def test_a_stop_while_an_open_turn_is_entered_again_ends_its_job(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!echo begun; sleep 60; echo whole")
    async with Shift(town, places, "first"):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
    places.door.clear()
    places.knocked.clear()
    async with Shift(town, places, "second"):
        async with asyncio.timeout(100):
            await places.knocked.wait()
        await town.say("stop")
        await asyncio.sleep(0.2)
        places.door.set()
        ((_, why, _),) = await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert "on request by Ann" in why
    assert await town.value("SELECT state FROM session") == "idle"


async def test_a_second_signal_hands_the_turn_back_at_once(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!echo begun; sleep 60")
    now = asyncio.Event()
    async with Shift(town, places, "w", finish_seconds=60, now=now):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        asyncio.get_running_loop().call_later(0.2, now.set)
    assert await town.rows("SELECT state, lease_owner FROM session") == [("queued", None)]
    assert (await town.rows(TURN))[0][0] == "running"


async def test_bo_who_stops_anns_turn_is_named(town: Town, places: GuestWorkplaces) -> None:
    await town.say("!echo begun; sleep 60", by="Ann")
    async with Shift(town, places, "w"):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        await town.say("stop", by="Bo")
        ((_, why, _),) = await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert why == ("stopped on request by Bo; what was changed is kept, `retry` runs it again")


async def test_status_says_what_runs(town: Town, places: GuestWorkplaces) -> None:
    await town.say("!echo begun; sleep 60", by="Ann")
    async with Shift(town, places, "w"):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        told = (await town.say("status", by="Bo")).text
        assert " for Ann: echo begun; sleep 60\nWorking …\n" in told
        await town.say("stop")
        await until(town, TURN, lambda rows: rows[0][0] == "stopped")
        assert "Ann" not in (await town.say("status")).text


async def test_what_breaks_again_and_again_ends_and_is_told(
    town: Town, places: GuestWorkplaces
) -> None:
    places.full = ZeroDivisionError("a bug")
    await town.say("!true")
    await town.say("!echo next")
    async with Shift(town, places, "w"):
        ((_, why, _), *_) = await until(town, TURN, lambda rows: rows and rows[0][0] == "failed")
        places.full = None
        await until(town, TURN, lambda rows: [one[0] for one in rows] == ["failed", "succeeded"])
    assert "an error of ours" in why
    assert "ZeroDivisionError" in why


async def test_hints_bring_a_prompt_and_a_stop_to_a_worker_that_hardly_polls(
    town: Town, places: GuestWorkplaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 600.0)
    async with Shift(town, places, "w", poll_seconds=600):
        await town.say("!true")
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
        await town.say("!echo begun; sleep 600")
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        await town.say("stop")
        await until(town, TURN, lambda rows: rows[-1][0] == "stopped")


async def test_a_turn_longer_than_its_lease_keeps_it(town: Town, places: GuestWorkplaces) -> None:
    await town.say("!sleep 6; echo done")
    async with (
        Shift(town, places, "first", lease_seconds=4, poll_seconds=0.1),
        Shift(town, places, "second", lease_seconds=4, poll_seconds=0.1),
    ):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    assert await town.value("SELECT lease_token FROM session") == 1


async def test_fenced_who_can_not_renew_any_more_stores_nothing(
    town: Town, places: GuestWorkplaces
) -> None:
    await town.say("!echo begun; sleep 1.5; echo done")
    async with Shift(town, places, "first", lease_seconds=1) as first:
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        first.worker._renewing.cancel()
        async with Shift(town, places, "second", lease_seconds=5, poll_seconds=0.1):
            await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    assert await town.value("SELECT lease_token FROM session") == 2
    ends = "SELECT count(*) FROM turn_event WHERE kind = 'turn.ended'"
    assert await town.value(ends) == 1
    said = await town.rows(
        "SELECT body ->> 'text' FROM turn_event WHERE kind = 'output' ORDER BY number"
    )
    assert "".join(text for (text,) in said) == "begun\ndone\n"


async def test_a_stop_does_not_wait_for_a_checkpoint_for_ever(
    town: Town, places: GuestWorkplaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "CHECKPOINT_STOPPED_SECONDS", 0.1)
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    saving = asyncio.Event()

    async def checkpoint(*_: object) -> list[Event]:
        saving.set()
        await asyncio.sleep(600)
        return []

    places.checkpoint = checkpoint
    await town.say("!true")
    async with Shift(town, places, "w"):
        await saving.wait()
        await town.say("stop")
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    (told,) = await town.rows("SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice'")
    assert "were not saved outside the machine" in told[0]
    assert await town.value("SELECT state FROM session") in {"held", "idle"}


async def test_the_checkpoint_is_taken_before_the_outcome_is_stored(
    town: Town, places: GuestWorkplaces
) -> None:
    states = []

    async def checkpoint(*_: object) -> list[Event]:
        states.append(await town.value("SELECT state FROM turn"))
        return [Event(kind="notice", body={"text": "not everything was kept"})]

    places.checkpoint = checkpoint
    await town.say("!true")
    async with Shift(town, places, "w"):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
    assert states == ["running"]
    kinds = await town.rows("SELECT kind FROM turn_event ORDER BY number")
    assert kinds[-2:] == [("notice",), ("turn.ended",)]
