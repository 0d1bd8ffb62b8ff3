"""What becomes of events that wait: by table, and for any of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.backing_off import BACK_OFF_SECONDS_MAX, back_off
from bot.automate.triggers.taking_decided import (
    ATTEMPTS_MAX,
    LOOP_DEPTH_MAX,
    QUEUED_MAX,
    RUNS_AT_ONCE,
    Standing,
    Waiting,
    decide,
)

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OWN, OTHER = UUID(int=1), UUID(int=2)
STANDING = Standing(automation_id=OWN, active=True)


def event(
    number: int, about: str = "", *, due: float = 0, kind: str = "webhook", **more
) -> Waiting:
    """The one that came as number `number`, due so many seconds from now."""
    return Waiting(
        id=UUID(int=100 + number),
        trigger_id=UUID(int=50),
        kind=kind,
        about=about,
        at=NOW + timedelta(milliseconds=number) - timedelta(seconds=60),
        act_at=NOW + timedelta(seconds=due),
        **more,
    )


def told(events: list[Waiting], standing: Standing = STANDING) -> dict[int, str]:
    """What becomes of each by its number: `run`, `wait why`, `drop why`."""
    made = decide(events, standing, NOW)
    assert len({one.id for one in made}) == len(made)
    return {one.id.int - 100: f"{one.do} {one.why}".strip() for one in made}


def with_(**more) -> Standing:
    return replace(STANDING, **more)


@pytest.mark.parametrize(
    ("events", "standing", "becomes"),
    [
        ([], STANDING, {}),
        ([event(1)], STANDING, {1: "run"}),
        ([event(1, due=1)], STANDING, {}),
        ([event(1), event(2)], with_(overlap="queue"), {1: "run", 2: "wait queued"}),
        ([event(1), event(2)], STANDING, {1: "run", 2: "drop overlap"}),
        ([event(1), event(2)], with_(overlap="cancel"), {1: "drop overlap", 2: "run"}),
        ([event(1, "a"), event(2, "b")], STANDING, {1: "run", 2: "run"}),
        ([event(1, "a"), event(2, "a")], STANDING, {1: "run", 2: "drop coalesced"}),
        ([event(1, "a"), event(2, "a", due=9)], STANDING, {1: "run", 2: "drop coalesced"}),
        ([event(1, kind="cron"), event(2, kind="cron")], STANDING, {1: "run", 2: "drop coalesced"}),
        ([event(1, "a")], with_(busy=frozenset({"a"})), {1: "drop overlap"}),
        ([event(1, "a")], with_(busy=frozenset({"a"}), overlap="queue"), {1: "wait queued"}),
        ([event(1, "a")], with_(busy=frozenset({"a"}), overlap="cancel"), {1: "run"}),
        ([event(1, "a")], with_(busy=frozenset({"b", ""})), {1: "run"}),
        ([event(1)], with_(busy=frozenset({""})), {1: "drop overlap"}),
        ([event(1)], with_(active=False), {1: "drop paused"}),
        ([event(1, due=9)], with_(active=False), {1: "drop paused"}),
        ([event(1), event(2, due=9)], with_(halted=True), {1: "wait halted"}),
        ([event(1)], with_(halted=True, active=False), {1: "drop paused"}),
        ([event(1)], with_(runs_lately=20), {1: "drop rate"}),
        ([event(1)], with_(runs_lately=19), {1: "run"}),
        ([event(1, "a"), event(2, "a")], with_(runs_lately=20), {1: "drop rate", 2: "drop rate"}),
        ([event(1, "a"), event(2, "b")], with_(runs_lately=19), {1: "run", 2: "drop rate"}),
        ([event(1, causes=frozenset({OWN}))], STANDING, {1: "drop loop"}),
        ([event(1, causes=frozenset({OTHER, OWN}))], STANDING, {1: "drop loop"}),
        ([event(1, causes=frozenset({OTHER}))], STANDING, {1: "run"}),
        ([event(1, causes=frozenset({None}))], STANDING, {1: "run"}),
        ([event(1, causes=frozenset({OTHER}), depth=LOOP_DEPTH_MAX)], STANDING, {1: "run"}),
        (
            [event(1, causes=frozenset({OTHER}), depth=LOOP_DEPTH_MAX + 1)],
            STANDING,
            {1: "drop loop"},
        ),
        (
            [event(1, "a", causes=frozenset({OWN})), event(2, "a")],
            STANDING,
            {1: "drop loop", 2: "run"},
        ),
        ([event(1, "a", held=True, due=60)], STANDING, {}),
        ([event(1, "a", held=True, due=60), event(2, "a")], STANDING, {2: "wait"}),
        ([event(1, held=True, due=60), event(2)], STANDING, {2: "drop overlap"}),
        ([event(1, held=True, due=60), event(2)], with_(overlap="cancel"), {2: "wait"}),
        ([event(1, held=True, due=60), event(2)], with_(overlap="queue"), {2: "wait queued"}),
        ([event(1, held=True, due=60)], with_(active=False), {}),
        ([event(1, attempts=ATTEMPTS_MAX)], STANDING, {1: "drop failed"}),
        ([event(1, attempts=ATTEMPTS_MAX - 1)], STANDING, {1: "run"}),
        ([event(1, "a", attempts=2, due=30), event(2, "a")], STANDING, {2: "wait"}),
    ],
)
def test_what_becomes_of_events(events, standing, becomes) -> None:
    assert told(events, standing) == becomes


def test_the_newest_facts_count_and_the_first_stands_for_all() -> None:
    run, *others = decide([event(3, "a"), event(1, "a"), event(2, "a")], STANDING, NOW)
    assert (run.id.int, run.latest and run.latest.int) == (101, 103)
    assert {one.into and one.into.int for one in others} == {101}


def test_the_line_behind_a_run_has_an_end() -> None:
    events = [event(number) for number in range(QUEUED_MAX + 1)]
    made = list(told(events, with_(busy=frozenset({""}), overlap="queue")).values())
    assert made == ["wait queued"] * QUEUED_MAX + ["drop overlap"]


def test_so_many_runs_are_begun_at_once_and_the_others_come_next() -> None:
    events = [event(number, f"a{number}") for number in range(RUNS_AT_ONCE + 2)]
    assert list(told(events).values()) == ["run"] * RUNS_AT_ONCE


def test_a_run_is_tried_again_later_each_time() -> None:
    pauses = [back_off(attempt) for attempt in range(1, 40)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 5
    assert pauses[-1] == BACK_OFF_SECONDS_MAX


EVENTS = st.lists(
    st.builds(
        event,
        st.integers(0, 30),
        st.sampled_from(["", "a", "b"]),
        due=st.sampled_from([-1, 0, 5]),
        kind=st.sampled_from(["cron", "webhook", "push"]),
        attempts=st.sampled_from([0, 1, ATTEMPTS_MAX]),
        causes=st.sampled_from([frozenset(), frozenset({OTHER}), frozenset({OWN})]),
    ),
    unique_by=lambda one: one.id,
)
STANDINGS = st.builds(
    Standing,
    automation_id=st.just(OWN),
    active=st.booleans(),
    halted=st.booleans(),
    overlap=st.sampled_from(["skip", "queue", "cancel"]),
    runs_per_hour=st.integers(1, 4),
    runs_lately=st.integers(0, 5),
    busy=st.sets(st.sampled_from(["", "a"])).map(frozenset),
)


@given(EVENTS, STANDINGS)
def test_looking_again_comes_to_an_end_and_no_rule_is_broken(events, standing) -> None:
    left = {one.id: one for one in events}
    begun: list[Waiting] = []
    for _look in range(100):
        if not any(one.act_at <= NOW for one in left.values()):
            break
        made = decide(left.values(), standing, NOW)
        assert made, "something is due and nothing is done about it"
        assert len({one.id for one in made}) == len(made)
        for one in made:
            if one.do == "wait":
                assert one.until is not None
                assert one.until > NOW
                left[one.id] = replace(left[one.id], act_at=one.until)
                continue
            gone = left.pop(one.id)
            begun += [gone] if one.do == "run" else []
        lately = standing.runs_lately + sum(one.do == "run" for one in made)
        busy = {left_about.about for left_about in begun}
        standing = replace(standing, runs_lately=lately, busy=standing.busy | busy)
    else:
        raise AssertionError("it never ends")
    assert all(OWN not in one.causes for one in begun)
    assert not begun or (standing.active and not standing.halted)
    assert not begun or standing.runs_lately <= standing.runs_per_hour
    if standing.overlap == "skip":
        assert len({one.about for one in begun}) == len(begun)
