"""What to do with machines, by table."""

import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from vmpool.decide import Remedy, Room, Standing, expired, idle, remedy, room
from vmpool.driver import Found
from vmpool.machine import MachineState

NOW = datetime(2026, 1, 2, tzinfo=UTC)
S, F, R = MachineState, Found, Remedy

REMEDIES = {
    (None, F.ABSENT): R.NONE,
    (None, F.STOPPED): R.REMOVE,
    (None, F.RUNNING): R.REMOVE,
    (None, F.RESTING): R.REMOVE,
    **{(state, F.RUNNING): R.ADOPT for state in (S.CREATING, S.STARTING, S.RUNNING)},
    (S.HIBERNATING, F.RUNNING): R.ADOPT,
    (S.RESTING, F.RUNNING): R.ADOPT,
    (S.RESTING, F.RESTING): R.NONE,
    **{
        (state, F.RESTING): R.RESTED for state in (S.CREATING, S.STARTING, S.RUNNING, S.HIBERNATING)
    },
    **{
        (state, found): R.LOSE
        for state in (S.CREATING, S.STARTING, S.RUNNING, S.HIBERNATING, S.RESTING)
        for found in (F.STOPPED, F.ABSENT)
    },
    **{
        (state, found): R.REMOVE
        for state in (S.LOST, S.REMOVING, S.GONE)
        for found in (F.STOPPED, F.RUNNING, F.RESTING)
    },
    (S.LOST, F.ABSENT): R.GONE,
    (S.REMOVING, F.ABSENT): R.GONE,
    (S.GONE, F.ABSENT): R.NONE,
}


@pytest.mark.parametrize(("state", "found"), list(itertools.product([None, *S], F)))
def test_every_disagreement_of_row_and_host_has_a_remedy(state, found):
    assert remedy(state, found, None) is REMEDIES[state, found]


@pytest.mark.parametrize("found", [F.RUNNING, F.RESTING])
def test_what_is_broken_is_lost_and_not_adopted(found):
    assert remedy(S.RUNNING, found, "its rest is short") is R.LOSE


def standing(state=S.RUNNING, *, minutes=0, in_use=False):
    used = NOW - timedelta(minutes=minutes)
    return Standing(id=uuid4(), state=state, used_at=used, in_use=in_use)


def test_there_is_room_while_fewer_machines_run_than_may():
    resting = [standing(S.RESTING) for _ in range(9)]
    assert room([standing(), *resting], 2) == Room(free=True)


def test_the_machine_that_was_idle_longest_makes_way_first():
    old, young = standing(minutes=9), standing(minutes=1)
    found = room([young, old, standing(minutes=99, in_use=True)], 3)
    assert found == Room(free=False, evict=(old.id, young.id))


def test_nobody_makes_way_when_every_machine_is_in_use():
    assert room([standing(in_use=True), standing(S.STARTING)], 2) == Room(free=False)


def test_only_running_machines_that_no_turn_holds_are_idle():
    due = standing(minutes=10)
    others = [
        standing(minutes=9),
        standing(minutes=99, in_use=True),
        standing(S.RESTING, minutes=99),
    ]
    assert idle([due, *others], NOW, 600) == [due.id]


def test_only_resting_machines_expire():
    due = standing(S.RESTING, minutes=60 * 24 * 2)
    assert expired([due, standing(minutes=10**6)], NOW, 2) == [due.id]
    assert expired([due], NOW, 2.1) == []
