"""`make test-long` has every surface in it, with the full count."""

import re

import pytest

from tests.integration.chat import chaos, test_chat_chaos
from tests.integration.forge import test_forge_chaos
from tests.support.long import COUNTING, COUNTS, PAGE, ROOT, Row, chosen_by, page, written


@pytest.mark.parametrize("surface", ["slack", "discord", "github", "gitlab"])
def test_delivery_chaos_of_each_surface_is_run_long(surface):
    found = [
        test
        for test in COUNTING
        if (ROOT / test).is_file()
        and re.search(
            rf"^async def test_answered_once_\w*{surface}", (ROOT / test).read_text(), re.M
        )
    ]
    assert len(found) == 1


@pytest.mark.parametrize("of", [test_chat_chaos, test_forge_chaos])
def test_it_is_a_part_of_every_run_too_with_a_tenth_of_the_messages(of):
    marks = {mark.name for mark in of.pytestmark}
    assert "slow" in marks
    assert "long" not in marks, "`make test` leaves those out"
    assert int(COUNTS["ONA_TEST_CHAT_MESSAGES"]) // 10 == chaos.MESSAGES_USUAL


def test_a_thousand_messages_are_said_and_that_ends():
    assert int(COUNTS["ONA_TEST_CHAT_MESSAGES"]) > 1000
    assert chaos.WAIT_SECONDS_MAX < chaos.SECONDS_MAX / 2, "two waits fit into it"


ROWS = [
    Row("tests/a.py::test_one[x-y]", "passed", "12", "2026-11-29", "0123456789", "7"),
    Row("tests/b.py::test_two", "failed", "1", "2026-11-28", "0123456789, with changes", "8"),
    Row("tests/c.py::test_three"),
]


def test_what_the_page_says_is_read_again():
    said = page(ROWS, {"ONA_TEST_KILLS": "50"})
    assert list(written(said).values()) == ROWS
    assert "1 of 3 **passed**, 1 did not; 1 were not run yet" in said


@pytest.mark.parametrize(
    ("words", "runs"), [([], True), (["b.py"], False), (["b.py", "one["], True)]
)
def test_words_choose_the_tests_whose_name_has_one_of_them(words, runs):
    assert chosen_by(words, ROWS[0].name) is runs


def test_every_test_of_the_page_is_there():
    for row in written(PAGE.read_text()).values():
        path, _, name = row.name.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()
