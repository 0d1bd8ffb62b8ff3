"""Which of the choices somebody means."""

import pytest

from bot.work.asked import choice_of, numbered

CHOICES = ("Continue with 5.00 more", "Stop")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Continue with 5.00 more", 0),
        ("continue  with 5.00 MORE", 0),
        ("continue", 0),
        ("1", 0),
        (" 2 ", 1),
        ("Stop.", 1),
        ("stop!", 1),
        ("0", None),
        ("3", None),
        ("cont", None),
        ("stop it", None),
        ("yes", None),
        ("", None),
        ("²", None),
    ],
)
def test_a_choice_is_meant_by_its_words_its_number_or_how_it_begins(said, meant):
    assert choice_of(CHOICES, said) == (None if meant is None else CHOICES[meant])


def test_a_beginning_of_two_choices_is_neither():
    assert choice_of(("Stop now", "Stop later"), "stop") is None


@pytest.mark.parametrize(
    ("choices", "said", "meant"),
    [
        (("Yes", "No"), "1", "Yes"),
        (("Yes", "No"), " 2. ", "No"),
        (("Yes", "No"), "3", None),
        (("Yes", "No"), "0", None),
        (("Yes", "No"), "yes", None),
        (("Yes", "No"), "1 of them", None),
        # How many? The number that is said is the answer.
        (("2", "3", "5"), "1", None),
        ((), "1", None),
    ],
)
def test_a_number_means_the_choice_that_stands_behind_it(choices, said, meant):
    assert numbered(choices, said) == meant
