"""Which halt applies to a project's work for a person."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from bot.govern.halt import Halt, Scope, halted
from bot.store.ids import new_id
from bot.words.catalogue import speaking

SHOP, SITE, ANN, BO, ROOT = (new_id() for _ in range(5))
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ALL = Halt(id=new_id(), scope=Scope.ALL, by=ROOT, name="Root", at=NOON)
OF_SHOP = replace(ALL, id=new_id(), scope=Scope.PROJECT, project_id=SHOP, target="shop")
OF_ANN = replace(ALL, id=new_id(), scope=Scope.PERSON, person_id=ANN, target="Ann")


@pytest.mark.parametrize(("project", "person"), list(product([SHOP, SITE, None], [ANN, BO, None])))
def test_each_scope_holds_what_it_names_and_nothing_else(project, person):
    def applies(*halts):
        return halted(halts, project_id=project, person_id=person)

    assert applies() is None
    assert applies(ALL) is ALL
    assert applies(OF_SHOP) is (OF_SHOP if project == SHOP else None)
    assert applies(OF_ANN) is (OF_ANN if person == ANN else None)


def test_the_widest_halt_is_the_one_that_is_told():
    halts = [OF_ANN, OF_SHOP, replace(ALL, at=NOON + timedelta(hours=1))]
    found = halted(halts, project_id=SHOP, person_id=ANN)
    assert found is halts[2]


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (ALL, "everything is halted by Root"),
        (replace(OF_SHOP, why="a key leaked"), "project shop is halted by Root: a key leaked"),
        (OF_ANN, "what Ann asks for is halted by Root"),
    ],
)
def test_a_halt_says_what_by_whom_and_why(one, told):
    assert one.told == told


def test_a_halt_is_told_in_the_language_of_who_hears_it():
    with speaking("de"):
        assert OF_ANN.told == "die Arbeit für Ann wurde von Root angehalten"


@pytest.mark.parametrize(
    ("one", "command"),
    [
        (ALL, "ona resume"),
        (OF_SHOP, "ona resume --project shop"),
        (replace(OF_ANN, target="Ann Lee"), "ona resume --person 'Ann Lee'"),
    ],
)
def test_a_halt_names_the_command_that_lifts_it(one, command):
    assert one.undone_by == command
