"""What to do with machines, by table, and on any host."""

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.decide import (
    HYPERVISOR_MIB,
    Remedy,
    Room,
    Standing,
    charge,
    expired,
    give_up,
    idle,
    is_disk_short,
    is_new,
    is_pressed,
    make_way,
    memory_budget,
    remedy,
    room,
    spare,
    takes_room,
)
from vmpool.driver import Found
from vmpool.machine import Machine, MachineState

NOW = datetime(2026, 1, 2, tzinfo=UTC)
S, F, R = MachineState, Found, Remedy

REMEDIES = {
    (None, F.ABSENT): R.NONE,
    (None, F.STOPPED): R.REMOVE,
    (None, F.RUNNING): R.REMOVE,
    (None, F.RESTING): R.REMOVE,
    **{(state, F.RUNNING): R.ADOPT for state in (S.CREATING, S.STARTING, S.RUNNING, S.PAUSED)},
    (S.HIBERNATING, F.RUNNING): R.ADOPT,
    (S.RESTING, F.RUNNING): R.ADOPT,
    (S.RESTING, F.RESTING): R.NONE,
    **{
        (state, F.RESTING): R.RESTED
        for state in (S.CREATING, S.STARTING, S.RUNNING, S.PAUSED, S.HIBERNATING)
    },
    **{
        (state, found): R.LOSE
        for state in (S.CREATING, S.STARTING, S.RUNNING, S.PAUSED, S.HIBERNATING, S.RESTING)
        for found in (F.STOPPED, F.ABSENT)
    },
    **{
        (state, found): R.REMOVE
        for state in (S.LOST, S.REMOVING, S.GONE)
        for found in (F.STOPPED, F.RUNNING, F.RESTING)
    },
    # Whose it is not goes, whatever it is; of anybody's that can't be seen nothing is concluded.
    (None, F.UNSEEN): R.REMOVE,
    **{(state, F.UNSEEN): R.REMOVE for state in (S.LOST, S.REMOVING, S.GONE)},
    **{
        (state, F.UNSEEN): R.NONE
        for state in (S.CREATING, S.STARTING, S.RUNNING, S.PAUSED, S.HIBERNATING, S.RESTING)
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


@pytest.mark.parametrize(
    ("state", "generation", "cloned", "new"),
    [
        (S.CREATING, 0, False, True),
        (S.CREATING, 3, True, True),
        (S.STARTING, 1, False, True),
        (S.STARTING, 2, False, False),
        (S.STARTING, 4, True, False),
        (S.STARTING, 1, True, False),
        *[(state, 1, False, False) for state in S if state not in {S.CREATING, S.STARTING}],
    ],
)
def test_only_what_was_never_up_is_new(state, generation, cloned, new):
    template = uuid4() if cloned else None
    assert is_new(Machine(state=state, generation=generation, template_id=template)) is new


GIB = 1024


def standing(
    state=S.RUNNING, *, minutes=0, in_use=False, waits=False, yields=False, private_mib=None
):
    return Standing(
        id=uuid4(),
        state=state,
        used_at=NOW - timedelta(minutes=minutes),
        in_use=in_use,
        waits=waits,
        yields=yields,
        memory_mib=GIB,
        private_mib=private_mib,
    )


def hot(*, minutes=0, private_mib=100, worth=0.0):
    made = standing(S.PAUSED, minutes=minutes, waits=True, private_mib=private_mib)
    return dataclasses.replace(made, worth=worth)


def test_there_is_room_while_fewer_machines_run_than_may():
    resting = [standing(S.RESTING) for _ in range(9)]
    assert room([standing(), *resting], GIB, 2, 64 * GIB) == Room(free=True)


def test_the_machine_that_was_idle_longest_makes_way_first():
    old, young = standing(minutes=9), standing(minutes=1)
    found = room([young, old, standing(minutes=99, in_use=True)], GIB, 3, 64 * GIB)
    assert (found.free, found.evict) == (False, (old.id, young.id))
    assert found.why == "3 of 3 machines of this host are in use"


def test_machines_that_wait_make_way_before_those_of_sessions():
    old, young, idler = hot(minutes=9), hot(minutes=1), standing(minutes=99)
    assert room([idler, old, young], GIB, 3, 64 * GIB).evict == (young.id, old.id, idler.id)


def test_of_those_that_wait_the_one_that_is_expected_to_be_used_least_per_byte_goes_first():
    much, little = hot(minutes=1, worth=0.09), hot(minutes=9, worth=0.01)
    young = hot(minutes=1, worth=0.01)
    order = (young.id, little.id, much.id)
    assert room([much, little, young], GIB, 3, 64 * GIB).evict == order
    asleep = [dataclasses.replace(one, state=S.RESTING) for one in (much, little)]
    assert give_up(asleep) == (little.id, much.id)


def test_memory_is_room_too_and_one_that_stands_still_takes_what_it_took():
    budget = 3 * GIB + 100
    assert room([standing(), hot(private_mib=GIB // 2)], GIB, 9, budget).free
    full = room([standing(), hot(private_mib=GIB)], GIB, 9, budget)
    assert not full.free
    assert full.why == f"machines of this host take {2 * GIB + 64} of {budget} MiB"
    unmeasured = [standing(), hot(private_mib=None)]
    assert not room(unmeasured, GIB, 9, budget).free


def test_a_machine_that_is_alone_is_never_refused_for_its_memory():
    assert room([standing(S.RESTING)], 64 * GIB, 4, GIB).free


def test_idle_machines_of_automations_make_way_before_those_of_people():
    person, long, lately = (
        standing(minutes=99),
        standing(minutes=9, yields=True),
        standing(minutes=1, yields=True),
    )
    waiting = hot()
    found = room([person, lately, long, waiting], GIB, 4, 64 * GIB)
    assert found.evict == (waiting.id, long.id, lately.id, person.id)


BUSY, IDLE, STARTING = standing(in_use=True), standing(minutes=9), standing(S.STARTING)


@pytest.mark.parametrize(
    ("machines", "leave", "free"),
    [
        ([BUSY] * 2, 1, True),
        ([BUSY] * 3, 1, False),
        ([BUSY] * 3, 0, True),
        ([BUSY, STARTING, BUSY], 1, False),
        ([BUSY, IDLE, hot()], 1, True),
        ([BUSY, IDLE, hot()], 2, True),
        ([BUSY, BUSY, IDLE], 2, False),
        ([], 3, True),
        ([BUSY], 3, False),
    ],
)
def test_automations_leave_machines_for_people_who_may_take_them(machines, leave, free):
    for_automations = room(machines, GIB, 4, 64 * GIB, leave=leave)
    assert for_automations.free is free
    assert free or for_automations.why == f"what is left of this host is kept for people ({leave})"
    assert for_automations.evict == (), "nobody makes way for what may not come anyway"
    assert room(machines, GIB, 4, 64 * GIB).free


def test_an_automation_makes_others_make_way_while_it_leaves_enough():
    idle_one = standing(minutes=9)
    found = room([standing(in_use=True), *[standing()] * 2, idle_one], GIB, 4, 64 * GIB, leave=1)
    assert not found.free
    assert idle_one.id in found.evict


@pytest.mark.parametrize(("budget", "free"), [(3, True), (2, False)])
def test_automations_leave_memory_for_people_too(budget, free):
    budget_mib = budget * (GIB + 64)
    assert room([standing(in_use=True)], GIB, 9, budget_mib, leave=1).free is free


def test_an_automation_that_is_alone_runs_on_a_small_host_too():
    assert room([], GIB, 4, GIB, leave=1).free
    assert room([standing()], GIB, 4, 2 * (GIB + 64), leave=1).free


def test_when_the_disk_is_short_what_waits_goes_before_what_rests_and_nothing_that_runs():
    cold = standing(S.RESTING, waits=True)
    long, lately = standing(S.RESTING, minutes=99), standing(S.RESTING, minutes=1)
    others = [standing(), standing(S.HIBERNATING), standing(S.RESTING, in_use=True, minutes=999)]
    waiting = hot()
    assert give_up([*others, lately, waiting, cold, long]) == (
        waiting.id,
        cold.id,
        long.id,
        lately.id,
    )


@pytest.mark.parametrize(("free_mib", "short"), [(1024, False), (1023, True), (0, True)])
def test_a_disk_with_little_left_is_short(free_mib, short):
    assert is_disk_short(free_mib) is short


@pytest.mark.parametrize(("total", "left"), [(16000, 13600), (4000, 2976), (800, 0)])
def test_the_host_keeps_a_reserve(total, left):
    assert memory_budget(total) == left


@pytest.mark.parametrize(
    ("total", "available", "pressed"),
    [(16000, 800, False), (16000, 799, True), (4000, 384, False), (4000, 383, True)],
)
def test_a_host_with_little_memory_left_is_pressed(total, available, pressed):
    assert is_pressed(total, available) is pressed


def test_what_waits_takes_what_is_spare_and_leaves_one_place():
    found = spare([standing(), hot(private_mib=100), standing(S.RESTING)], 4, 4 * GIB)
    assert (found.memory_mib, found.machines) == (4 * GIB - (GIB + 64) - 100, 1)
    assert spare([standing()] * 3, 4, GIB).memory_mib < 0


def test_nobody_makes_way_when_every_machine_is_in_use():
    machines = [standing(in_use=True), standing(S.STARTING), standing(in_use=True, waits=True)]
    assert room(machines, GIB, 3, 64 * GIB).evict == ()


def test_only_running_machines_that_no_turn_holds_are_idle():
    due = standing(minutes=10)
    others = [
        standing(minutes=9),
        standing(minutes=99, in_use=True),
        standing(S.RESTING, minutes=99),
        standing(minutes=99, waits=True),
    ]
    assert idle([due, *others], NOW, 600) == [due.id]


def test_only_resting_machines_expire():
    due = standing(S.RESTING, minutes=60 * 24 * 2)
    waits = standing(S.RESTING, minutes=10**6, waits=True)
    assert expired([due, standing(minutes=10**6), waits], NOW, 2) == [due.id]
    assert expired([due], NOW, 2.1) == []


MACHINES = st.lists(
    st.builds(
        Standing,
        id=st.uuids(),
        state=st.sampled_from(MachineState),
        used_at=st.integers(-3000, 3000).map(lambda minutes: NOW + timedelta(minutes=minutes)),
        in_use=st.booleans(),
        waits=st.booleans(),
        yields=st.booleans(),
        memory_mib=st.integers(1, 4 * GIB),
        private_mib=st.none() | st.integers(0, 4 * GIB),
        worth=st.floats(0, 1),
    ),
    max_size=8,
    unique_by=lambda machine: machine.id,
)


@given(MACHINES, st.integers(1, 4 * GIB), st.integers(1, 6), st.integers(0, 16 * GIB))
def test_whoever_makes_way_is_free_to_and_does_so_until_there_is_room(
    machines, memory_mib, running_max, budget_mib
):
    left = list(machines)
    while not (found := room(left, memory_mib, running_max, budget_mib)).free and found.evict:
        going = next(machine for machine in left if machine.id == found.evict[0])
        assert not going.in_use
        assert going.state in (S.RUNNING, S.PAUSED)
        others = [one for one in left if one.id in found.evict and one.waits]
        assert going.waits or not others, "who works for nobody goes first"
        left.remove(going)
    live = [machine for machine in left if takes_room(machine.state)]
    if found.free:
        fits = sum(map(charge, live)) + memory_mib + HYPERVISOR_MIB <= budget_mib
        assert len(live) < running_max
        assert fits or not live
    else:
        assert found.why
        assert make_way(left) == ()


@given(MACHINES)
def test_a_full_disk_costs_nothing_that_runs_or_is_in_use(machines):
    by_id = {machine.id: machine for machine in machines}
    going = [by_id[one] for one in give_up(machines)]
    assert len(going) == len({machine.id for machine in going})
    for machine in going:
        assert not machine.in_use
        assert machine.state is S.RESTING or (machine.waits and machine.state is S.PAUSED)
    assert [machine.waits for machine in going] == sorted(
        (machine.waits for machine in going), reverse=True
    )


@given(MACHINES, st.integers(0, 10**6), st.integers(0, 10**6))
def test_time_alone_makes_more_machines_idle_and_expired_and_never_fewer(machines, passed, more):
    now, later = NOW + timedelta(seconds=passed), NOW + timedelta(seconds=passed + more)
    assert set(idle(machines, now, 600)) <= set(idle(machines, later, 600))
    assert set(expired(machines, now, 2)) <= set(expired(machines, later, 2))
    by_id = {machine.id: machine for machine in machines}
    assert all(not by_id[one].in_use and not by_id[one].waits for one in idle(machines, later, 600))
    assert all(by_id[one].state is S.RESTING for one in expired(machines, later, 2))
