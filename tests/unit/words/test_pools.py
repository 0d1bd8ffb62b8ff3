"""How a pool stands, in one sentence."""

import pytest

from bot.words.pools import standing, state, tier
from vmpool.machine import MachineState

FULL_HOST = "the host is full"


@pytest.mark.parametrize(
    ("hot", "cold", "making", "held", "said"),
    [
        ("1 of 1", "1 of 1", 0, None, "full: 3 an hour"),
        ("1 of 1", "1 of 1", 0, FULL_HOST, "full: 3 an hour"),
        ("0 of 1", "1 of 1", 1, None, "1 hot too few, 1 being made; 3 an hour"),
        ("2 of 3", "1 of 1", 0, None, "1 hot too few, made next; 3 an hour"),
        (
            "0 of 1",
            "0 of 2",
            0,
            FULL_HOST,
            f"1 hot and 2 cold too few, because {FULL_HOST}; 3 an hour",
        ),
        ("1 of 1", "0 of 1", 0, FULL_HOST, f"1 cold too few, because {FULL_HOST}; 3 an hour"),
        (
            "0 of 1",
            "2 of 1",
            0,
            FULL_HOST,
            f"1 hot too few, because {FULL_HOST}; 3 an hour; 1 cold more, until it can be made hot",
        ),
        (
            "2 of 1",
            "1 of 1",
            0,
            None,
            "full: 3 an hour; 1 hot more than that, removed soon unless a session takes it",
        ),
        (
            "2 of 1",
            "0 of 1",
            0,
            FULL_HOST,
            "full: 3 an hour; 1 hot more than that, removed soon unless a session takes it",
        ),
        (
            "1 of 1",
            "3 of 1",
            0,
            None,
            "full: 3 an hour; 2 cold more than that, removed soon unless a session takes them",
        ),
        (
            "1 of 0",
            "0 of 0",
            0,
            None,
            "none should wait: 3 an hour; "
            "1 hot more than that, removed soon unless a session takes it",
        ),
    ],
)
def test_a_pool_says_what_it_is_and_why(hot, cold, making, held, said):
    (hot, hot_target), (cold, cold_target) = (map(int, x.split(" of ")) for x in (hot, cold))
    assert said == standing(
        hot=hot,
        hot_target=hot_target,
        cold=cold,
        cold_target=cold_target,
        making=making,
        why="3 an hour",
        held=held,
    )


def test_a_pool_of_which_nothing_is_known_says_that_none_should_wait():
    counts = dict.fromkeys(("hot", "hot_target", "cold", "cold_target", "making"), 0)
    assert standing(**counts, why="", held=None) == "none should wait"


def test_a_pool_whose_newest_template_failed_says_what_its_machines_are_made_of():
    counts = dict.fromkeys(("hot", "hot_target", "cold", "cold_target"), 1)
    assert standing(**counts, making=0, why="3 an hour", held=None, outdated=True) == (
        "full: 3 an hour; its newest template failed: machines are made of the one before"
    )


def test_machines_that_wait_are_hot_cold_or_being_made_and_nothing_else():
    assert {tier(one) for one in MachineState} == {"hot", "cold", "being made"}
    assert (tier(MachineState.PAUSED), tier(MachineState.RESTING)) == ("hot", "cold")


def test_only_a_machine_that_works_for_nobody_is_cold_at_rest():
    assert [state("resting", None), state("resting", "s-1")] == ["cold", "resting"]
    assert state("starting", None) == "starting"
