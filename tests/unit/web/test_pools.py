"""Why a pool holds what it holds, as people read it."""

import pytest

from bot.web.pools import explained


@pytest.mark.parametrize(
    ("hot", "cold", "why"),
    [
        (1, 1, "3 an hour"),
        (0, 1, "the memory for machines is used up"),
        (1, 0, "the memory for machines is used up"),
        (3, 1, "3 an hour; 2 hot more than that: removed unless a session takes it first"),
    ],
)
def test_what_keeps_machines_from_being_made_is_said_only_where_some_lack(hot, cold, why):
    pool = {
        "hot": hot,
        "hot_target": 1,
        "cold": cold,
        "cold_target": 1,
        "why": "3 an hour",
        "held": "the memory for machines is used up",
    }
    assert explained(pool)["why"] == why


def test_a_pool_of_which_nothing_is_known_says_nothing():
    empty = dict.fromkeys(("hot", "hot_target", "cold", "cold_target"), 0)
    assert explained({**empty, "why": "", "held": None})["why"] == ""
