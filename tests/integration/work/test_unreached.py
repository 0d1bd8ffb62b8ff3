"""Turns in a machine whose job server hangs up, on the real queue, in a real guest program."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.work import unreached
from bot.work.queue import Event, LeaseLost
from bot.work.unreached import TOLD_AT, UNREACHED_MAX
from tests.fakes.guest import HostedGuest
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.fakes.job_door import JobDoor, job_door, through
from tests.integration.conftest import Town
from tests.support.shift import Shift, until

TURN = "SELECT state, outcome ->> 'summary', unreached FROM turn ORDER BY started_at"
SAID = "SELECT body ->> 'text' FROM turn_event WHERE kind = '{}' ORDER BY number"
LONG_SECONDS = 600.0
"""Nobody waits for the end of such a pause."""


@dataclass(kw_only=True)
class Doorway:
    places: GuestWorkplaces
    door: JobDoor


@pytest.fixture
async def doorway(guest: HostedGuest, tmp_path: Path) -> AsyncIterator[Doorway]:
    async with AsyncExitStack() as stack:
        door, path = await stack.enter_async_context(job_door(guest))
        channel = await through(guest, path, tmp_path / "ca")
        stack.push_async_callback(channel.close)
        yield Doorway(places=GuestWorkplaces(channel, str(tmp_path)), door=door)


def pauses(patch: pytest.MonkeyPatch, seconds: float) -> None:
    patch.setattr(unreached, "PAUSE_SECONDS_MIN", seconds)
    patch.setattr(unreached, "PAUSE_SECONDS_MAX", seconds)


async def test_a_job_server_that_always_hangs_up_ends_the_turn_and_the_session_goes_on(
    town: Town, doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses(monkeypatch, 0.01)
    doorway.door.shut()
    await town.say("!echo hi")
    async with Shift(town, doorway.places, "w"):
        ((_, why, times),) = await until(town, TURN, lambda rows: rows and rows[0][0] == "failed")
        # Each time it was claimed anew, and not once more.
        assert await town.value("SELECT lease_token FROM session") == UNREACHED_MAX
        assert times == UNREACHED_MAX - 1
        assert f"{UNREACHED_MAX} times in a row" in why
        ((told,),) = await town.rows(SAID.format("error"))
        assert "the last checkpoint are kept" in told
        assert "`retry` tries once more" in told
        ((notice,),) = await town.rows(SAID.format("notice"))
        assert "does not answer" in notice
        assert await town.value("SELECT state FROM session") == "idle"
        doorway.door.open()
        await town.say("!echo again")
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["failed", "succeeded"])


async def test_a_turn_whose_machine_answers_again_goes_on_where_it_was(
    town: Town, doorway: Doorway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses(monkeypatch, 0.01)
    os.mkfifo(tmp_path / "go")
    await town.say(f"!echo once >> {tmp_path}/ran; echo begun; cat {tmp_path}/go; echo done")
    async with Shift(town, doorway.places, "w"):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        doorway.door.shut()
        await until(town, TURN, lambda rows: rows[0][2] > 0)
        doorway.door.open()
        (tmp_path / "go").write_text("")
        await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
    assert (tmp_path / "ran").read_text() == "once\n"
    said = await town.rows(SAID.format("output"))
    assert "".join(text for (text,) in said) == "begun\ndone\n"
    assert (await town.rows(TURN))[0][2] == 0


async def test_a_stop_ends_a_turn_that_waits_for_its_machine_at_once(
    town: Town, doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses(monkeypatch, LONG_SECONDS)
    doorway.door.shut()
    await town.say("!echo hi")
    async with Shift(town, doorway.places, "w", poll_seconds=LONG_SECONDS):
        await until(town, TURN, lambda rows: rows and rows[0][2] == 1)
        await until(town, "SELECT state FROM session", lambda rows: rows == [("queued",)])
        await town.say("stop")
        ((_, why, _),) = await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert "on request by Ann" in why
    ((told,),) = await town.rows(SAID.format("notice"))
    assert "may still run" in told
    assert await town.value("SELECT state FROM session") == "idle"


async def test_a_pause_is_kept_by_every_worker_and_counted_by_the_next_process(town: Town) -> None:
    await town.say("!a")
    first, second = town.queue("first"), town.queue("second")
    lease = await first.claim()
    assert lease is not None
    turn = await first.begin_turn(lease, None)
    assert turn is not None
    await first.pause(lease, turn, seconds=LONG_SECONDS, events=unreached.told(TOLD_AT))
    assert lease.lost
    assert await first.claim() is None
    assert await second.claim() is None
    due = await second.next_due_seconds()
    assert due is not None
    assert LONG_SECONDS / 2 < due <= LONG_SECONDS
    with pytest.raises(LeaseLost):
        await first.pause(lease, turn, seconds=0, events=[])

    await town.rows("UPDATE session SET lease_until = NULL RETURNING id")
    again = await second.claim()
    assert again is not None
    found = (await second.look(again)).turn
    assert found is not None
    assert (found.id, found.unreached) == (turn.id, 1)
    await second.record(again, found, [Event(kind="output")], batch=1)
    now = (await second.look(again)).turn
    assert now is not None
    assert now.unreached == 0
