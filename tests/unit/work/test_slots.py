"""Whose turn may begin in the slots that a worker has left, by table."""

import pytest

from bot.work.slots import Offer, Slots

FOUR = [Offer.ANYBODY, Offer.ANYBODY, Offer.ANYBODY, Offer.PEOPLE, Offer.NOBODY]


@pytest.mark.parametrize(
    ("turns_max", "for_people", "offers"),
    [
        (4, 1, FOUR),
        (4, 0, [*FOUR[:3], Offer.ANYBODY, Offer.NOBODY]),
        (4, 3, [Offer.ANYBODY, *[Offer.PEOPLE] * 3, Offer.NOBODY]),
        (1, 0, [Offer.ANYBODY, Offer.NOBODY]),
        (2, 1, [Offer.ANYBODY, Offer.PEOPLE, Offer.NOBODY]),
    ],
)
def test_the_last_slots_are_people_s_whoever_has_the_others(turns_max, for_people, offers):
    slots = Slots(turns_max=turns_max, for_people=for_people)
    assert [slots.offer(busy) for busy in range(turns_max + 1)] == offers


def test_more_than_there_are_is_nobody_s_turn():
    assert Slots(turns_max=2, for_people=1).offer(3) is Offer.NOBODY
