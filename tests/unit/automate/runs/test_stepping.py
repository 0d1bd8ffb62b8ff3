"""What a run does next, by table and by property."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.definition import Limits
from bot.automate.runs.stepping import (
    CANCELLED,
    DELETED,
    STOPPED,
    TOO_LONG,
    UNREADABLE,
    Finish,
    Follow,
    Moving,
    Settle,
    Start,
    decide,
    stops,
)

A, B, C = (UUID(int=number) for number in (1, 2, 3))
LIMITS = Limits(parallel=2, target_minutes=10)


def moving(**more) -> Moving:
    return Moving(**{"id": A, "step": 0, "seconds": 1.0, "prompt": "running", **more})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (moving(), []),
        (moving(prompt="queued"), []),
        (moving(prompt="done", outcome="succeeded", step=3), [Follow(id=A, step=3)]),
        (
            moving(prompt="done", outcome="failed", summary="exit status 1"),
            [Finish(id=A, state="failed", why="exit status 1")],
        ),
        (
            moving(prompt="done", outcome="interrupted"),
            [Finish(id=A, state="failed", why="interrupted")],
        ),
        (
            moving(prompt="done", outcome="stopped", summary="stopped by Ann"),
            [Finish(id=A, state="stopped", why="stopped by Ann")],
        ),
        (moving(prompt="cancelled"), [Finish(id=A, state="stopped", why=CANCELLED)]),
        (moving(has_session=False), [Finish(id=A, state="failed", why=DELETED)]),
        (moving(seconds=600.0), []),
        (moving(seconds=601.0), [Finish(id=A, state="failed", why=TOO_LONG, halts=True)]),
        (moving(seconds=601.0, prompt="done", outcome="succeeded"), [Follow(id=A, step=0)]),
    ],
)
def test_a_target_that_runs(one, expected):
    assert decide(LIMITS, "", [one], []) == expected


def test_what_waits_is_started_as_far_as_there_is_room():
    assert decide(LIMITS, "", [], [A, B, C]) == [Start(id=A), Start(id=B)]
    assert decide(LIMITS, "", [moving()], [B, C]) == [Start(id=B)]
    assert decide(LIMITS, "", [moving(), moving(id=B)], [C]) == []


def test_one_that_ends_makes_room_at_once():
    failed = moving(prompt="done", outcome="failed", summary="no")
    assert decide(LIMITS, "", [failed, moving(id=B)], [C])[-1] == Start(id=C)


def test_a_run_of_which_nothing_is_left_is_settled():
    assert decide(LIMITS, "", [], []) == [Settle()]
    assert decide(LIMITS, "time", [], []) == [Settle()]


@pytest.mark.parametrize("why", STOPPED)
def test_a_stopped_run_ends_all_of_it_and_halts_what_runs(why):
    told = STOPPED[why]
    assert decide(LIMITS, why, [moving()], [B]) == [
        Finish(id=B, state="stopped", why=told),
        Finish(id=A, state="stopped", why=told, halts=True),
    ]


def test_what_is_put_off_is_left_alone_and_keeps_its_run_open():
    late = moving(put_off=True, prompt="done", outcome="succeeded")
    assert decide(LIMITS, "", [late], [B, C]) == [Start(id=B)]
    assert decide(LIMITS, "person", [late], []) == []
    assert decide(LIMITS, "", [], [], waits=True) == []
    assert decide(LIMITS, "", [], [B], waits=True) == [Start(id=B)]


def test_a_run_that_can_t_be_read_fails_whole_unless_it_is_stopped():
    assert decide(None, "", [moving()], [B]) == [
        Finish(id=B, state="failed", why=UNREADABLE),
        Finish(id=A, state="failed", why=UNREADABLE, halts=True),
    ]
    assert decide(None, "", [], []) == [Settle()]
    assert decide(None, "person", [], [B]) == [Finish(id=B, state="stopped", why=STOPPED["person"])]


@pytest.mark.parametrize(
    ("limits", "seconds", "cost", "why"),
    [
        (Limits(minutes=1), 60, 0, None),
        (Limits(minutes=1), 61, 0, "time"),
        (Limits(money="0.5"), 0, 500_000, None),
        (Limits(money="0.5"), 0, 500_001, "money"),
        (Limits(), 0, 10**12, None),
    ],
)
def test_a_run_s_own_limits(limits, seconds, cost, why):
    assert stops(limits, seconds=seconds, cost_micro=cost) == why


@given(
    st.lists(st.sampled_from(["queued", "running", "done", "cancelled"]), max_size=12),
    st.integers(0, 12),
    st.integers(1, 6),
)
def test_never_more_at_once_than_it_lets_and_always_something_unless_all_runs(
    prompts, waits, parallel
):
    running = [
        moving(id=UUID(int=number), prompt=prompt, outcome="failed" if prompt == "done" else "")
        for number, prompt in enumerate(prompts)
    ][:parallel]
    waiting = [UUID(int=100 + number) for number in range(waits)]
    actions = decide(Limits(parallel=parallel), "", running, waiting)
    ended = sum(isinstance(one, Finish) for one in actions)
    started = sum(isinstance(one, Start) for one in actions)
    assert len(running) - ended + started <= parallel
    if waiting and len(running) < parallel:
        assert started
