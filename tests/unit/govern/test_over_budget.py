"""What people are told when a budget does not bear a request."""

import pytest

from bot.govern.spending import Budget, OverBudget
from bot.words.amounts import MICRO
from bot.words.catalogue import again, kept, of_error, speaking
from bot.work import ended_words

SESSION = Budget(kind="session", limit=5 * MICRO, spent=4 * MICRO, reserved=0)
PERSON = Budget(kind="person", limit=5 * MICRO, spent=4 * MICRO, reserved=MICRO // 2)


@pytest.mark.parametrize(
    ("budget", "told"),
    [
        (
            SESSION,
            "the budget of this session does not bear this request, which may cost up to 2.00 USD:"
            " 4.00 of 5.00 USD are used",
        ),
        (
            PERSON,
            "today's budget of the person who asked does not bear this request, which may cost up"
            " to 2.00 USD: 4.00 of 5.00 USD are used, 0.50 are set aside",
        ),
    ],
)
def test_it_says_which_budget_and_how_it_stands(budget, told):
    assert str(OverBudget(budget, 2 * MICRO)) == told


def test_the_end_of_the_turn_says_it_in_the_language_of_each_thread():
    why = of_error(OverBudget(PERSON, 2 * MICRO))
    stored = kept(ended_words.over_budget(why))
    with speaking("de"):
        told = str(again(stored))
    assert told == (
        "das heutige Budget der Person, die gefragt hat, trägt diese Anfrage nicht, die bis zu 2.00"
        " USD kosten kann: 4.00 von 5.00 USD sind verbraucht, 0.50 sind zurückgelegt; was getan"
        " wurde, bleibt, `retry` macht weiter"
    )
