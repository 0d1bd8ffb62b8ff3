"""What `status` says of a session; pure."""

from datetime import UTC, datetime

from bot.conversation.words import status
from bot.words.catalogue import speaking

RUNS = {
    "name": "Ann",
    "text": "mend the\nflaky test " + "x" * 200,
    "started_at": datetime(2026, 7, 31, 12, 30, tzinfo=UTC),
    "asks": False,
}


def test_the_running_turn_is_told_with_whose_it_is_and_since_when():
    with speaking("en", "Europe/Berlin"):
        told = status("s-1", "running", [], 0, runs=RUNS, done={"step": "ready"}).splitlines()
    assert told[0] == "Session s-1 is running."
    assert told[1].startswith("Since 2026-07-31 14:30 CEST for Ann: mend the flaky test xxx")
    assert len(told[1]) < 130
    assert told[2:] == ["Working …", "No prompt is queued."]


def test_before_it_begins_its_step_is_told():
    told = status("s-1", "running", [], 0, done={"step": "resuming"})
    assert "Waking the machine …" in told
    assert "Since" not in told


def test_a_turn_that_asks_is_told_to_wait():
    told = status("s-1", "waiting", [], 0, runs={**RUNS, "asks": True}, done={})
    assert "Waiting for an answer." in told
    assert "Working" not in told


def test_where_nothing_runs_nothing_is_told_of_it():
    assert status("s-1", "idle", [], 0) == "Session s-1 is idle.\nNo prompt is queued."
